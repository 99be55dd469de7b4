"""`ingestor run` as its users have it, and what its own account tells of the time it took."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from tests.bench.process import Ended, run

COMMAND = (sys.executable, "-m", "ingestor")

_HEAD = 2000  # events among which the first request is looked for: far more than may be in flight
_TAIL = 65536  # bytes that surely hold the last few events

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Execution:
    """One `ingestor run` over a file, with everything at its default beside what `flags` say.

    Attributes:
        ended: the process.
        first_request: when the first request was sent, in seconds since the epoch; 0 where none was.
        requesting: seconds from the first request to the last outcome, durable and told; 0 where none was sent.
        working: seconds from `batch.started` to `batch.finished`.
    """

    ended: Ended
    first_request: float
    requesting: float
    working: float


@dataclass(frozen=True, slots=True)
class Program:
    """The command, aimed at a service; `flags` are added to every run."""

    url: str
    folder: Path
    flags: tuple[str, ...] = ("--auth", "none")

    def bring_in(self, records: Path, count: int, state: Path, *, again: bool = False) -> Execution:
        """Run over a file of `count` records into a state directory; `again` where it has them all.

        Raises SystemExit where not every record came to be `created`, or `duplicate` where it is done again.
        """
        log = state.parent / f"{state.name}.log.jsonl"
        log.unlink(missing_ok=True)
        aim = ("--endpoint", self.url, "--platform-id", PLATFORM_ID, "--workspace", WORKSPACE_KEY)
        words = ("run", str(records), *aim, "--state", str(state), "--log", str(log), "--output", "json", *self.flags)
        ended = run((*COMMAND, *words), self.folder, longest=120 + count / 100)
        outcome = "duplicate" if again else "created"
        done = json.loads(ended.output.splitlines()[-1])["counts"][outcome]
        if done != count:
            raise SystemExit(f"{done} of {count} records became {outcome}: {ended.output}")
        made = read_log(log, ended)
        log.unlink()
        return made


def read_log(log: Path, ended: Ended) -> Execution:
    """Tell the times of a run by its log.

    A request was sent `latency_ms` before its outcome was told, or a little earlier: telling waits for the disk. So
    the time between is told a few milliseconds too short at its beginning, and is long by as much at its end.
    """
    first, last = _head(log), _tail(log)
    sent = [moment(event) - event["latency_ms"] / 1000 for event in first if event["event"] == "run.created"]
    told = [moment(event) for event in last if event["event"] == "run.created"]
    started = next(moment(event) for event in first if event["event"] == "batch.started")
    finished = next(moment(event) for event in last if event["event"] == "batch.finished")
    begun = min(sent, default=0.0)
    return Execution(ended, begun, max(told) - begun if sent else 0.0, finished - started)


def moment(event: Event) -> float:
    """Return the time of an event, in seconds since the epoch."""
    return datetime.fromisoformat(event["timestamp"]).timestamp()


def _head(log: Path) -> list[Event]:
    with log.open("rb") as lines:
        return [json.loads(line) for line, _ in zip(lines, range(_HEAD), strict=False)]


def _tail(log: Path) -> list[Event]:
    with log.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _TAIL))
        whole = file.read().splitlines()
    return list(_events(whole[1:] if size > _TAIL else whole))


def _events(lines: Sequence[bytes]) -> Iterator[Event]:
    for line in lines:
        yield json.loads(line)
