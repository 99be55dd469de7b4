"""`ingestor simulate`: a simulated AIDP on loopback, until it is stopped."""

import asyncio
import sys

from ingestor.model.errors import ExitCode
from ingestor.settings.simulate import SimulateOptions
from ingestor.simulator.server import serve


def simulate(options: SimulateOptions) -> ExitCode:
    """Serve until Ctrl-C or SIGTERM. Raises UsageError where it can't listen."""
    asyncio.run(serve(options.service(), options.host, options.port, _say_ready))
    return ExitCode.OK


def _say_ready(url: str) -> None:
    print(f"simulated AIDP listening on {url}", flush=True)
    print("stop it with Ctrl-C", file=sys.stderr, flush=True)
