"""What the journal's tests share."""

import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from ingestor.journal.jobs import MERGE_AFTER
from ingestor.journal.journal import WATCH_EVERY, SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.model.admission import JournalTime
from ingestor.model.record import Job, Outcome, Result
from ingestor.policy.expiry import moved_on, resumed
from tests.support.records import SCOPE

ROOT = Path(__file__).parents[2]
HOUR = 3600.0


class ManualClock:
    """The port Timekeeper over clocks that stand still until a test moves them.

    `time` is the wall clock. Setting it moves the wall clock alone; `work` moves the monotonic clock too.
    """

    def __init__(self, time: float = 1_700_000_000.0) -> None:
        self.time = time
        self._worked = 0.0
        self._known = JournalTime(time, time)

    def work(self, seconds: float) -> None:
        self.time += seconds
        self._worked += seconds

    def now(self) -> JournalTime:
        self._known = moved_on(self._known, self.time, self._worked)
        self._worked = 0.0
        return self._known

    def resume(self, last: JournalTime) -> None:
        self._known = resumed(last, self.time)
        self._worked = 0.0


@asynccontextmanager
async def opened(
    path: Path,
    clock: ManualClock | None = None,
    merge_after: int = MERGE_AFTER,
    watch_every: float = WATCH_EVERY,
) -> AsyncIterator[SqliteJournal]:
    """Own the state directory and open its journal, as one process does."""
    with StateDirectory.open(path) as state:
        async with SqliteJournal.open(state, SCOPE, clock or ManualClock(), merge_after, watch_every) as journal:
            yield journal


def created(job: Job, *, attempts: int = 1) -> Result:
    return Result(job=job, outcome=Outcome.CREATED, attempts=attempts, run_id=f"run of {job.key}", http_status=200)


def partial(job: Job) -> Result:
    return Result(
        job=job, outcome=Outcome.PARTIAL, attempts=2, run_id=f"run of {job.key}", error_code="InvalidParameter"
    )


def failed(job: Job) -> Result:
    return Result(
        job=job,
        outcome=Outcome.FAILED,
        attempts=1,
        http_status=400,
        error_code="InvalidParameter",
        error_message="experiment_id is not known",
        opc_request_id="A/B/C",
    )


def unresolved(job: Job) -> Result:
    return Result(job=job, outcome=Outcome.UNRESOLVED, attempts=3, error_code="timeout", error_message="no answer")


def absent(job: Job) -> Result:
    """Return what `reconcile` finds if a job certainly has no run."""
    return Result(job=job, outcome=Outcome.FAILED, attempts=0, error_code="NotCreated")


def child(what: str, path: Path, start: int = 0) -> subprocess.Popen[str]:
    """Start a process of its own that uses the state directory: see child.py."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.journal.child", what, str(path), str(start)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def commits(path: Path) -> int:
    """Count the transactions in the write-ahead log: frames that carry the size of the database after them."""
    wal = (path / "journal.db-wal").read_bytes()
    page = int.from_bytes(wal[8:12])
    salt = wal[16:24]
    frames = (wal[start : start + 24] for start in range(32, len(wal), 24 + page))
    return sum(1 for frame in frames if frame[8:16] == salt and int.from_bytes(frame[4:8]))
