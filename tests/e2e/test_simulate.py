"""`ingestor simulate` as a command: what it prints when it is stopped."""

import signal

import pytest

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from ingestor.simulator.sample import records
from tests.e2e.program import Program

AIM = ("--auth", "none", "--platform-id", PLATFORM_ID, "--workspace", WORKSPACE_KEY)


@pytest.mark.parametrize(
    ("options", "summary"),
    [
        ((), "30 requests, 0 answered with 429; 30 runs created, no two with one retry token\n"),
        (
            ("--faults", "reset_after=0.2", "--no-retry-tokens"),
            "31 requests, 0 answered with 429, 1 with a fault; 31 runs created, 1 retry token created more than one\n",
        ),
    ],
)
async def test_it_prints_what_it_created(program: Program, options: tuple[str, ...], summary: str) -> None:
    serving = await program.start("simulate", "--port", "0", *options)
    url = (await serving.next_line()).split()[-1]
    source = program.write("runs.jsonl", list(records(30)))
    assert (await program.run("run", source, "--endpoint", url, *AIM, "--concurrency", "1")).code == 0
    serving.send(signal.SIGTERM)
    ended = await serving.end()
    assert ended.code == 0
    assert ended.stderr.endswith(summary)
