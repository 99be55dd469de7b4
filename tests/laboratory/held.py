"""The runs whose numbers the tests hold, and what falls short in them.

`python -m tests.laboratory.held` runs all of them (a minute) and writes what falls short into `shortfalls.py`:
after a change of the control, look at the difference before you keep it.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from itertools import product
from math import ceil, floor
from pathlib import Path
from random import Random

from ingestor.simulator.limiter_spec import parse_limiter
from tests.laboratory.cases import AT_ONCE, BASIC, SHED_ALONE, UNLIMITED, Case
from tests.laboratory.changes import Change, Sharing, all_changes, try_change, try_sharing
from tests.laboratory.oracle import MACHINE
from tests.laboratory.outcome import AT_LEAST, PLAIN, Needs, default_control, missed, required, try_case
from tests.laboratory.simulation import Client, Service, Simulation

SEED = 1
SLOW_MACHINE = 600.0
"""Attempts a second that a client's machine makes in the cases, so that a test takes a second."""

_BUCKET, _FIXED, _NODES = BASIC[0], "fixed:{rate:g}/s,window=1", "nodes:{rate:g}/s,nodes=4,burst=0.1"
_RATES = {"fixed:{rate:g}/s,window=60": 50.0, "nodes:{rate:g}/s,nodes=16,burst=0.1": 400.0, _NODES: 400.0}

CASES: Mapping[str, Case] = {
    case.label: case
    for case in (
        *(Case(kind, _RATES.get(kind, 200.0)) for kind in BASIC if kind != "at-once:20"),
        Case("at-once:20", 200.0, latency=0.1),
        *(Case(kind, 200.0) for kind in (*SHED_ALONE, UNLIMITED)),
        *(Case(f"shed:5%+{kind}", 200.0) for kind in (_BUCKET, _FIXED, "fixed:{rate:g}/s,window=10")),
        *(Case(kind, 200.0, retry_after=1.0) for kind in (_BUCKET, _FIXED, "shed:0.5%")),
        *(Case(kind, 200.0, latency) for kind in (_BUCKET, _FIXED) for latency in (0.005, 0.3)),
        Case(_BUCKET, 550.0),
        *(
            Case(kind, 200.0, transit=AT_ONCE)
            for kind in (_BUCKET, _FIXED, _NODES, "sliding:{rate:g}/s,window=1", "shed:5%")
        ),
    )
}
"""Kinds of limiters, by label."""

FEW: Needs = {"accepted": 0.95, "refusals_a_minute": 6, "refusals_at_first": 24}
"""What must be reached at a few requests a second, where one of them is a large share."""

LIMITS: Mapping[str, tuple[float, float, float]] = {
    f"{rate:g}/s, burst {burst:g} s, {1000 * latency:g} ms": (rate, burst, latency)
    for rate, burst, latency in (
        *product((60.0, 300.0), (0.1, 1.0), (0.005, 0.05, 0.2)),
        *((2000.0, 1.0, 0.05), (2000.0, 0.1, 0.2)),
        *product((2.0, 5.0, 10.0, 30.0), (0.1, 1.0), (0.005, 0.2)),
    )
}
"""Token buckets, by label: the rate a second, the burst and the latency in seconds."""

NETWORKS: Mapping[str, tuple[Service, float]] = {
    "answers overtake each other": (Service(latency=0.1, jitter=0.5), 0.0),
    "answers overtake each other by far": (Service(latency=0.1, jitter=0.9), 0.0),
    "refusals are much faster than answers": (Service(latency=0.1, transit=0.1), 0.0),
    "refusals are as slow as answers": (Service(latency=0.1, transit=0.9), 0.0),
    "the client loses time and makes up for it": (Service(latency=0.02), 0.04),
}
"""A bucket of 300/s, with the network in front of it and the seconds that the client is late, by label."""

CHANGES: Mapping[str, tuple[Change, float]] = {
    f"{change.label}, at {change.at:g} s, burst {burst:g} s": (change, burst)
    for change, burst in (
        *((change, 0.2) for change in all_changes() if change.after < 500),
        *((Change(300.0, 50.0, 0.2, 31.0 + second), 1.0) for second in range(5)),
        *((Change(100.0, 300.0, 0.05, at), burst) for at in (31.0, 33.0, 35.0) for burst in (0.1, 1.0)),
    )
}
"""Limits that fall and rise, at any time of a hold, each with the burst in seconds, by label."""

SHARINGS: Mapping[str, Sharing] = {
    sharing.label: sharing
    for sharing in (
        *(Sharing(2, rate, apart) for rate in (100.0, 300.0) for apart in (0.0, 5.0)),
        *(Sharing(4, 300.0), Sharing(4, 300.0, 5.0), Sharing(8, 500.0)),
    )
}
"""Several clients on one limit, by label."""


@cache
def reach(label: str) -> tuple[Needs, Needs]:
    """Run what has this label, and return what is reached and what is required."""
    if label in CASES:
        outcome = try_case(CASES[label], SEED, machine=SLOW_MACHINE)
        return outcome.reached, required(outcome.case, outcome.best)
    if label in CHANGES:
        change, burst = CHANGES[label]
        return {"within": try_change(change, SEED, burst=burst).within}, {"within": change.limit}
    if label in SHARINGS:
        shared = try_sharing(SHARINGS[label], SEED)
        return {"jain": shared.jain, "accepted": shared.used}, {"jain": 0.9, "accepted": 0.93}
    if label in NETWORKS:
        service, stall = NETWORKS[label]
        return measured(drive("bucket:300/s,burst=0.1", 90.0, service, stall=stall), 300, 30, 90), PLAIN
    rate, burst, latency = LIMITS[label]
    begin, end = (60.0, 180.0) if rate <= 30 else (30.0, 90.0 if rate < 1000 else 60.0)
    client = drive(f"bucket:{rate}/s,burst={burst}", end, Service(latency=latency))
    return measured(client, rate, begin, end), FEW if rate <= 30 else PLAIN


def drive(text: str, seconds: float, service: Service, *, stall: float = 0.0) -> Client:
    """Send to the limiter of a text for some seconds, with the default control."""
    client = Client(default_control(0.0), machine=MACHINE, stall=stall)
    Simulation(parse_limiter(text).make(Random(SEED)), [client], service).run(seconds)
    return client


def measured(client: Client, limit: float, begin: float, end: float) -> Needs:
    """Return what was reached of a limit, settled between two times."""
    return {
        "accepted": client.accepted_rate(begin, end) / limit,
        "refused": client.refused_share(begin, end),
        "first_accepted": client.accepted_rate(0, 60) / limit,
        "first_refused": client.refused_share(0, 60),
        "refusals_a_minute": 60 * client.refused_rate(begin, end),
        "refusals_at_first": 60 * client.refused_rate(0, 60),
    }


def _short(label: str) -> dict[str, float]:
    """Return what falls short, with room: a point of what must be reached, a tenth of what must not be exceeded."""
    return {name: _rounded(name, value) for name, value in missed(*reach(label)).items()}


def _rounded(name: str, value: float) -> float:
    if name in AT_LEAST:
        return floor(100 * (value - 0.01)) / 100
    return ceil(1.1 * value) if name.startswith("refusals") or name == "within" else ceil(1100 * value) / 1000


def main() -> int:
    """Write the table of what falls short."""
    labels = [*CASES, *LIMITS, *NETWORKS, *CHANGES, *SHARINGS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        short = {label: needs for label, needs in zip(labels, pool.map(_short, labels), strict=True) if needs}
    lines = "".join(f'    "{label}": {needs},\n' for label, needs in short.items())
    path = Path(__file__).with_name("shortfalls.py")
    head = path.read_text().partition("SHORT: ")[0]
    path.write_text(f"{head}SHORT: Mapping[str, Needs] = {{\n{lines}}}\n")
    subprocess.run((sys.executable, "-m", "ruff", "format", "--quiet", str(path)), check=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
