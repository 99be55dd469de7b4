"""`ingestor simulate`, from its options."""

import asyncio
import sys

from ingestor.app.limits import NEEDED, require_files
from ingestor.app.messages import print_result
from ingestor.model.errors import ExitCode
from ingestor.report.text import spell_count
from ingestor.settings.commands import SimulateOptions
from ingestor.simulator.server import serve
from ingestor.simulator.statistics import Statistics


def simulate(options: SimulateOptions) -> int:
    """Serve until Ctrl-C or SIGTERM, and print at the end what was created.

    Raises UsageError if it can't listen, and LimitError.
    """
    require_files(NEEDED)
    statistics = asyncio.run(serve(options.service(), options.host, options.port, _print_address))
    print(_totals(statistics), file=sys.stderr)
    return ExitCode.OK


def _print_address(url: str) -> None:
    print_result(f"simulated AIDP listening on {url}")
    print("stop it with Ctrl-C", file=sys.stderr, flush=True)


def _totals(statistics: Statistics) -> str:
    """Return the statistics in one line; the simulator serves all of them at /statistics while it runs."""
    faults = f", {sum(statistics.faults.values()):,} with a fault" if statistics.faults else ""
    doubled = sum(count > 1 for count in statistics.runs_by_token().values())
    tokens = (
        f"{spell_count(doubled, 'retry token')} created more than one" if doubled else "no two with one retry token"
    )
    requests = f"{spell_count(statistics.requests, 'request')}, {statistics.throttled:,} answered with 429{faults}"
    return f"{requests}; {spell_count(statistics.run_count, 'run')} created, {tokens}"
