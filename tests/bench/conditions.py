"""Under which conditions figures came about, in words for those who read them."""

import os
import platform
from importlib.metadata import version
from statistics import mean

from tests.bench import records
from tests.bench.contenders import CONCURRENCY, Arena
from tests.bench.credentials import KEY_BITS

_PACKAGES = ("aiohttp", "cryptography", "aidp-python-client", "mlflow")


def busy() -> float:
    """Return how many processes wanted a core in the last minute, on average."""
    return os.getloadavg()[0]


def machine(load: float) -> str:
    """Tell on what it was measured; `load` is what `busy` said before."""
    packages = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"Measured on {_cores()} cores ({platform.machine()}, {platform.system()}) with Python "
        f"{platform.python_version()}, {packages}; the load average before was {load:.1f}."
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def held_constant(arena: Arena) -> str:
    """Tell what was the same for all contenders."""
    effort = arena.effort
    size = mean(len(request.body) for request in records.requests(arena.file, 1000))
    return (
        "Held constant: the service (nginx with one worker on loopback, which answers each request with a new run); "
        f"the records ({effort.records:,} a turn for ingestor and the bare loop, the first {effort.slow_records:,} of "
        f"them for the slower clients; bodies of {size:,.0f} bytes on average, ten tags); RSA-{KEY_BITS} signatures "
        "with API-key credentials, unless it says unsigned. Ingestor and the bare loop have "
        f"{CONCURRENCY} requests on their way at once, the other clients as many threads as served them best of those "
        "tried."
    )
