"""`ingestor check --online` also asks the service about the target and about the experiments of the records.

It sends searches only. They show that the address, the credentials and the workspace are right, and that this
principal may read. Only a create shows that it may create runs.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from itertools import islice

from ingestor.app.check import MOST_EXPERIMENTS, print_checked, validate
from ingestor.app.experiments import Experiments, ask
from ingestor.app.messages import complain
from ingestor.app.options import BatchOptions
from ingestor.app.standard_streams import discard_output
from ingestor.app.target import Target, check_without_request
from ingestor.model.errors import ExitCode
from ingestor.model.text import WHOLE, printable
from ingestor.policy.advice import Halt
from ingestor.report.progress import Mode
from ingestor.report.text import spell_count

_SHOWN = 20  # experiments in the text; the JSON form has all


def check_online(
    target: Target, options: BatchOptions, sources: Sequence[str], *, as_json: bool, progress: Mode
) -> ExitCode:
    """Validate the records of `sources`, and ask the service for the target and their experiments. Print the findings.

    Returns HALTED if the service does not serve this target, INCOMPLETE if records are invalid, or if it is not certain
    that they can become runs. Raises UsageError, and CredentialsError for what is wrong without a request.
    """
    check_without_request(target)
    try:
        checked = validate(options, sources, as_json=as_json, progress=progress)
    except BrokenPipeError:  # of the line of an invalid record
        discard_output()
        return ExitCode.INCOMPLETE
    connection = target.connection(connections=1, timeout=options.timeout, rate=options.rate)
    address = target.endpoint.display
    found = asyncio.run(
        ask(connection, target.access, checked.experiments, lambda: complain(f"waiting for {address} to answer"))
    )
    with suppress(BrokenPipeError):
        print_checked(checked, as_json=as_json, service={"target": address, **_members(found)})
        if not as_json:
            print("\n" + "\n".join(_lines(address, checked.experiments, found)), flush=True)
    if isinstance(found, Halt):
        return ExitCode.HALTED
    is_incomplete = checked.exit_code is ExitCode.OK and not found.can_take_all
    return ExitCode.INCOMPLETE if is_incomplete else checked.exit_code


def _members(found: Halt | Experiments) -> dict[str, object]:
    return {"halted": asdict(found)} if isinstance(found, Halt) else {"halted": None, **asdict(found)}


def _lines(address: str, experiments: Mapping[str, int], found: Halt | Experiments) -> Iterator[str]:
    """Say what the service answered, one sentence a line."""
    if isinstance(found, Halt):
        yield f"{printable(address, WHOLE)} can't be used:"
        yield from filter(None, (printable(found.reason, WHOLE), found.advice))
        return
    yield f"{printable(address, WHOLE)} accepts the credentials, and the target exists."
    yield _totals(len(experiments), found)
    yield from _listed("Missing", found.missing)
    if found.missing:
        yield "Create them, or change experiment_id in these records, before you run."
    yield from _listed("Deleted", found.deleted)
    if found.deleted:
        yield "Restore them, or change experiment_id in these records, before you run."


def _totals(total: int, found: Experiments) -> str:
    bad = len(found.missing) + len(found.deleted)
    usable = total - bad - found.not_asked
    parts = [f"{usable:,} can take runs", f"{bad:,} can't" * bool(bad)]
    if found.not_asked:
        parts.append(f"{found.not_asked:,} were not asked for ({printable(found.why_not_asked or '', WHOLE)})")
    of = (
        f"Of the first {total:,} experiments" if total == MOST_EXPERIMENTS else f"Of {spell_count(total, 'experiment')}"
    )
    return f"{of} in the records, {', '.join(filter(None, parts))}."


def _listed(title: str, experiments: Mapping[str, int]) -> Iterator[str]:
    if not experiments:
        return
    yield f"{title}:"
    for name, count in islice(experiments.items(), _SHOWN):
        yield f"  {printable(name)}: {spell_count(count, 'record')}"
    if len(experiments) > _SHOWN:
        yield f"  and {len(experiments) - _SHOWN:,} more: --output json lists them all"
