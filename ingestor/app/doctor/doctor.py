"""`ingestor doctor`, from what is examined to what is printed."""

import asyncio

from ingestor.app.doctor.catalog import checks
from ingestor.app.doctor.check import Result, examine
from ingestor.app.doctor.document import as_json, ending, exit_code, head, lines, omissions
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.standard_streams import discard_output
from ingestor.model.errors import ExitCode


def doctor(subject: Subject, facts: Facts, *, json: bool) -> ExitCode:
    """Examine a set-up, and print the findings. Returns what a run would end with: OK, USAGE or HALTED."""
    results: list[Result] = []
    try:
        asyncio.run(_print(subject, facts, results, json=json))
    except BrokenPipeError:
        discard_output()
    return exit_code(results)


async def _print(subject: Subject, facts: Facts, results: list[Result], *, json: bool) -> None:
    if not json:
        print("\n".join(head(subject, facts.redactor)), flush=True)
    async for result in examine(checks(offline=subject.offline), subject, facts):
        results.append(result)
        if not json:
            for line in lines(result, facts.redactor):
                print(line, flush=True)
    if not json:
        for line in omissions(results):
            print(line)
    print(as_json(subject, results, facts.redactor) if json else f"\n{ending(results)}", flush=True)
