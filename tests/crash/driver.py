"""A command that dies at a named point: python -m tests.crash.driver COMMAND POINT NUMBER OPTIONS... [SOURCE].

COMMAND is run, resume or reconcile, put together as the program does it; only its ports are wrapped. At the NUMBERth
time that the point is reached it sends itself SIGKILL.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingestor.app.ingest import Ports
from ingestor.app.reconcile import Ports as ReconciliationPorts
from ingestor.app.reconcile import reconcile
from ingestor.app.resume import resume
from ingestor.app.run import run
from ingestor.commands import parser_of
from ingestor.model.events import Event, RunsEnded
from ingestor.model.finding import Finding
from ingestor.model.outcome import Result
from ingestor.model.ports import Admission, EventLog, Journal, Pace, Target, Unsettled, UnsettledJobs
from ingestor.model.record import Job
from ingestor.model.reply import Reply
from ingestor.settings.load import load
from ingestor.settings.options import Settings
from ingestor.settings.pages import COMMANDS


class Point(StrEnum):
    """Where a process dies, in the order of a job's way."""

    BEFORE_INTENT = "before-intent"
    INTENT_WRITTEN = "intent-written"
    BEFORE_SEND = "before-send"
    ANSWER_RECEIVED = "answer-received"
    BEFORE_LOOK_UP = "before-look-up"
    LOOKED_UP = "looked-up"
    BEFORE_OUTCOME = "before-outcome"
    OUTCOME_DURABLE = "outcome-durable"
    OUTCOME_TOLD = "outcome-told"


_ENDING = (Point.BEFORE_OUTCOME, Point.OUTCOME_DURABLE, Point.OUTCOME_TOLD)
POINTS = {
    "run": (Point.BEFORE_INTENT, Point.INTENT_WRITTEN, Point.BEFORE_SEND, Point.ANSWER_RECEIVED, *_ENDING),
    "reconcile": (Point.BEFORE_LOOK_UP, Point.LOOKED_UP, *_ENDING),
}
"""The points that a command passes."""

OFTEN = frozenset({Point.BEFORE_SEND, Point.ANSWER_RECEIVED, Point.BEFORE_LOOK_UP, Point.LOOKED_UP})
"""Points that are passed once for each job; the others are passed by many jobs together."""

Reach = Callable[[Point], None]


class Fuse:
    """Kills this process when a point is reached for the `number`th time."""

    def __init__(self, point: Point, number: int) -> None:
        self._point = point
        self._left = number

    def reach(self, point: Point) -> None:
        self._left -= point is self._point
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class FusedJournal:
    """The port Journal with points before and behind each write."""

    inner: Journal
    reach: Reach

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        self.reach(Point.BEFORE_INTENT)
        admissions = await self.inner.admit(jobs, stamped=stamped)
        self.reach(Point.INTENT_WRITTEN)
        return admissions

    async def settle(self, results: Sequence[Result]) -> None:
        self.reach(Point.BEFORE_OUTCOME)
        await self.inner.settle(results)
        self.reach(Point.OUTCOME_DURABLE)

    async def release(self, jobs: Sequence[Job]) -> None:
        await self.inner.release(jobs)


@dataclass(frozen=True)
class FusedJobs:
    """The port UnsettledJobs with points before and behind each write."""

    inner: UnsettledJobs
    reach: Reach

    async def count_unsettled(self) -> int:
        return await self.inner.count_unsettled()

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> Sequence[Unsettled]:
        return await self.inner.unsettled(pending=pending, after=after, limit=limit)

    async def conclude(self, results: Sequence[Result]) -> None:
        self.reach(Point.BEFORE_OUTCOME)
        await self.inner.conclude(results)
        self.reach(Point.OUTCOME_DURABLE)


@dataclass(frozen=True)
class FusedTarget:
    """The port Target with points before each attempt or look-up, and behind its answer."""

    inner: Target
    reach: Reach

    async def create(self, job: Job, *, stamped: bool) -> Reply:
        self.reach(Point.BEFORE_SEND)
        reply = await self.inner.create(job, stamped=stamped)
        self.reach(Point.ANSWER_RECEIVED)
        return reply

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        self.reach(Point.BEFORE_LOOK_UP)
        finding = await self.inner.find(token, experiment_id, pace)
        self.reach(Point.LOOKED_UP)
        return finding

    async def probe(self) -> Reply:
        return await self.inner.probe()

    async def renew_credentials(self) -> bool:
        return await self.inner.renew_credentials()


@dataclass(frozen=True)
class FusedAccount:
    """The port EventLog with a point behind outcomes that are told together."""

    inner: EventLog
    reach: Reach

    def emit(self, event: Event) -> None:
        self.inner.emit(event)
        if isinstance(event, RunsEnded):
            self.reach(Point.OUTCOME_TOLD)

    async def ready(self) -> None:
        await self.inner.ready()


def settings_of(command: str, words: Sequence[str]) -> tuple[Settings, list[str]]:
    """Read the options of a command and its sources."""
    line = parser_of(COMMANDS[command]).read(words)
    return load(line.options, line.config, sending=True).settings, list(line.arguments)


def main(command: str, point: Point, number: int, words: Sequence[str]) -> int:
    settings, sources = settings_of(command, words)
    reach = Fuse(point, number).reach

    def around_a_batch(ports: Ports) -> Ports:
        return Ports(
            FusedJournal(ports.journal, reach), FusedTarget(ports.target, reach), FusedAccount(ports.account, reach)
        )

    def around_a_reconciliation(ports: ReconciliationPorts) -> ReconciliationPorts:
        return ReconciliationPorts(
            FusedJobs(ports.jobs, reach), FusedTarget(ports.target, reach), FusedAccount(ports.account, reach)
        )

    match command:
        case "run":
            return run(settings, sources, wrap=around_a_batch)
        case "resume":
            return resume(settings, wrap=around_a_batch)
        case _:
            return reconcile(settings, None, wrap=around_a_reconciliation)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], Point(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
