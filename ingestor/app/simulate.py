"""`ingestor simulate`: a simulated AIDP on loopback, until it is stopped."""

import asyncio
import sys

from ingestor.model.errors import ExitCode
from ingestor.report.text import spell_count
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.server import serve
from ingestor.simulator.statistics import Statistics


def simulate(options: SimulatorOptions, host: str, port: int) -> ExitCode:
    """Serve until Ctrl-C or SIGTERM, and print at the end what was created. Raises UsageError where it can't listen."""
    statistics = asyncio.run(serve(options, host, port, _print_address))
    print(_summary(statistics), file=sys.stderr)
    return ExitCode.OK


def _print_address(url: str) -> None:
    print(f"simulated AIDP listening on {url}", flush=True)
    print("stop it with Ctrl-C", file=sys.stderr, flush=True)


def _summary(statistics: Statistics) -> str:
    """Return the statistics in one line; the simulator serves all of them at /statistics while it runs."""
    faults = f", {sum(statistics.faults.values()):,} with a fault" if statistics.faults else ""
    doubled = sum(count > 1 for count in statistics.runs_by_token().values())
    tokens = (
        f"{spell_count(doubled, 'retry token')} created more than one" if doubled else "no two with one retry token"
    )
    requests = f"{spell_count(statistics.requests, 'request')}, {statistics.throttled:,} answered with 429{faults}"
    return f"{requests}; {spell_count(statistics.run_count, 'run')} created, {tokens}"
