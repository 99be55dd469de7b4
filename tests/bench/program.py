"""`ingestor run` as its users have it, and the times that its log shows."""

import json
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from tests.bench.process import Ended, run

COMMAND = (sys.executable, "-m", "ingestor")

_HEAD = 2000  # events that contain the first request's: many more than may be in flight
_TAIL = 65536  # bytes that contain the last few events

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Execution:
    """One `ingestor run` over a file, with everything but `flags` at its default.

    Attributes:
        ended: the process.
        first_request: when the first request was sent, in seconds since the epoch; 0 where none was.
        requesting: seconds from the first request to the last outcome, durable and logged; 0 where none was sent.
        working: seconds from `batch.started` to `batch.finished`.
    """

    ended: Ended
    first_request: float
    requesting: float
    working: float


@dataclass(frozen=True, slots=True)
class Program:
    """The command, aimed at a service; `flags` are added to every execution."""

    url: str
    folder: Path
    flags: tuple[str, ...] = ("--auth", "none")

    def ingest(self, records: Path, count: int, state: Path, *, again: bool = False) -> Execution:
        """Run over a file of `count` records into a state directory; `again` where that knows all of them as done.

        Raises SystemExit unless every record is then `created`, or `already_done`.
        """
        log = state.parent / f"{state.name}.log.jsonl"
        log.unlink(missing_ok=True)
        target = ("--endpoint", self.url, "--platform-id", PLATFORM_ID, "--workspace", WORKSPACE_KEY)
        words = (
            "run",
            str(records),
            *target,
            "--state",
            str(state),
            "--log",
            str(log),
            "--output",
            "json",
            *self.flags,
        )
        ended = run((*COMMAND, *words), self.folder, longest=120 + count / 100)
        outcome = "already_done" if again else "created"
        done = json.loads(ended.output.splitlines()[-1])["counts"][outcome]
        if done != count:
            raise SystemExit(f"{done} of {count} records became {outcome}: {ended.output}")
        execution = read_log(log, ended)
        log.unlink()
        return execution


def read_log(log: Path, ended: Ended) -> Execution:
    """Return the times of an execution by its log.

    A request was sent `latency_ms` before its outcome was logged, or a few milliseconds earlier: an outcome is durable
    before it is logged.
    """
    first, last = _head(log), _tail(log)
    sent = [time_of(event) - event["latency_ms"] / 1000 for event in first if event["event"] == "run.created"]
    logged = [time_of(event) for event in last if event["event"] == "run.created"]
    started = next(time_of(event) for event in first if event["event"] == "batch.started")
    finished = next(time_of(event) for event in last if event["event"] == "batch.finished")
    begun = min(sent, default=0.0)
    return Execution(ended, begun, max(logged) - begun if sent else 0.0, finished - started)


def time_of(event: Event) -> float:
    """Return the time of an event, in seconds since the epoch."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def _head(log: Path) -> list[Event]:
    with log.open("rb") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(_HEAD), strict=False)]


def _tail(log: Path) -> list[Event]:
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        lines = file.read().splitlines()
    return [json.loads(line) for line in (lines[1:] if size > _TAIL else lines)]
