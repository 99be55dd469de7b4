"""`ingestor simulate`: a simulated AIDP on loopback, until it is stopped."""

import asyncio
import sys

from ingestor.model.errors import ExitCode
from ingestor.report.text import spell_count
from ingestor.settings.simulate import SimulateOptions
from ingestor.simulator.server import serve
from ingestor.simulator.statistics import Statistics


def simulate(options: SimulateOptions) -> ExitCode:
    """Serve until Ctrl-C or SIGTERM, and say at the end what was created. Raises UsageError where it can't listen."""
    account = asyncio.run(serve(options.service(), options.host, options.port, _say_ready))
    print(_told(account), file=sys.stderr)
    return ExitCode.OK


def _say_ready(url: str) -> None:
    print(f"simulated AIDP listening on {url}", flush=True)
    print("stop it with Ctrl-C", file=sys.stderr, flush=True)


def _told(account: Statistics) -> str:
    """Put in a line what the account says; the whole of it is at /account while the simulator runs."""
    faults = f", {sum(account.faults.values()):,} met a fault" if account.faults else ""
    several = sum(count > 1 for count in account.runs_by_token().values())
    tokens = f"{spell_count(several, 'retry token')} created more than one" if several else "no two by one retry token"
    requests = f"{spell_count(account.requests, 'request')}, {account.throttled:,} answered with 429{faults}"
    return f"{requests}; {spell_count(account.run_count, 'run')} created, {tokens}"
