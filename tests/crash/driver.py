"""A command that dies at a named point: python -m tests.crash.driver JOBS COMMAND POINT NUMBER OPTIONS... [SOURCE].

JOBS is `plain`, or `planned` for jobs of several requests. COMMAND is run, resume or reconcile, put together as the
program does it; only its ports are wrapped. At the NUMBERth time that the point is reached it sends itself SIGKILL.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingestor.app.ports import JobStore, Ports
from ingestor.app.resume import resume
from ingestor.app.run import reconcile, run
from ingestor.cli.commands import options_of, parser_of, terminal_of
from ingestor.cli.pages import COMMANDS
from ingestor.cli.target import target_of
from ingestor.model.admission import Admission, UnsettledJob
from ingestor.model.events import Event, RunsEnded
from ingestor.model.ports import Changes, EventLog, Input, Pace, Service
from ingestor.model.record import Job, Outcome, Result
from ingestor.model.reply import Finding, Reply
from ingestor.model.request import Operation, Request
from ingestor.model.sources import Checkpoint, Chunk, KeptRecord
from ingestor.settings.load import load
from tests.crash.plan import PlannedInput


class Point(StrEnum):
    """Where a process dies, in the order of the way of a job."""

    NEVER = "never"
    BEFORE_INTENT = "before-intent"
    INTENT_WRITTEN = "intent-written"
    BEFORE_SEND = "before-send"
    ANSWER_RECEIVED = "answer-received"
    BEFORE_LOG_BATCH = "before-log-batch"
    LOG_BATCH_ANSWERED = "log-batch-answered"
    BEFORE_LOG_INPUTS = "before-log-inputs"
    LOG_INPUTS_ANSWERED = "log-inputs-answered"
    BEFORE_UPDATE = "before-update"
    UPDATE_ANSWERED = "update-answered"
    BEFORE_LOOK_UP = "before-look-up"
    LOOKED_UP = "looked-up"
    BEFORE_OUTCOME = "before-outcome"
    OUTCOME_DURABLE = "outcome-durable"
    OUTCOME_LOGGED = "outcome-logged"
    BEFORE_ACKNOWLEDGING = "before-acknowledging"
    ACKNOWLEDGED = "acknowledged"


_ENDING = (Point.BEFORE_OUTCOME, Point.OUTCOME_DURABLE, Point.OUTCOME_LOGGED)
_CREATING = (Point.BEFORE_INTENT, Point.INTENT_WRITTEN, Point.BEFORE_SEND, Point.ANSWER_RECEIVED)
POINTS = {
    "run": (*_CREATING, *_ENDING, Point.BEFORE_ACKNOWLEDGING, Point.ACKNOWLEDGED),
    "reconcile": (Point.BEFORE_LOOK_UP, Point.LOOKED_UP, *_ENDING),
}
"""The points that a command passes."""

STEPS = {
    Operation.CREATE_RUN: (Point.BEFORE_SEND, Point.ANSWER_RECEIVED),
    Operation.LOG_BATCH: (Point.BEFORE_LOG_BATCH, Point.LOG_BATCH_ANSWERED),
    Operation.LOG_INPUTS: (Point.BEFORE_LOG_INPUTS, Point.LOG_INPUTS_ANSWERED),
    Operation.UPDATE_RUN: (Point.BEFORE_UPDATE, Point.UPDATE_ANSWERED),
}
"""The points before and after each request of a plan."""

OFTEN = frozenset({Point.BEFORE_LOOK_UP, Point.LOOKED_UP}.union(*STEPS.values()))
"""Points that are passed once for each job; many jobs pass the others together."""

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
    """The journal with points before and after each write."""

    inner: JobStore
    reach: Reach

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        self.reach(Point.BEFORE_INTENT)
        admissions = await self.inner.admit(jobs, stamped=stamped)
        self.reach(Point.INTENT_WRITTEN)
        return admissions

    async def commit(self, changes: Changes) -> int:
        self.reach(Point.BEFORE_OUTCOME)
        sequence = await self.inner.commit(changes)
        self.reach(Point.OUTCOME_DURABLE)
        return sequence

    async def conclude(self, results: Sequence[Result]) -> int:
        self.reach(Point.BEFORE_OUTCOME)
        sequence = await self.inner.conclude(results)
        self.reach(Point.OUTCOME_DURABLE)
        return sequence

    async def release(self, jobs: Sequence[Job]) -> None:
        await self.inner.release(jobs)

    async def kept_records(self, outcome: Outcome, *, after: int, limit: int) -> Sequence[KeptRecord]:
        return await self.inner.kept_records(outcome, after=after, limit=limit)

    async def count_unsettled(self) -> int:
        return await self.inner.count_unsettled()

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> Sequence[UnsettledJob]:
        return await self.inner.unsettled(pending=pending, after=after, limit=limit)


@dataclass(frozen=True)
class FusedService:
    """The port Service with points before each attempt or look-up, and after its answer."""

    inner: Service
    reach: Reach

    async def send(self, request: Request) -> Reply:
        before, behind = STEPS[request.operation]
        self.reach(before)
        reply = await self.inner.send(request)
        self.reach(behind)
        return reply

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        self.reach(Point.BEFORE_LOOK_UP)
        finding = await self.inner.find(token, experiment_id, pace)
        self.reach(Point.LOOKED_UP)
        return finding

    async def active_experiments(self, pace: Pace) -> Collection[str] | None:
        return await self.inner.active_experiments(pace)

    async def probe(self) -> Reply:
        return await self.inner.probe()

    async def renew_credentials(self) -> bool:
        return await self.inner.renew_credentials()


@dataclass(frozen=True)
class FusedLog:
    """The port EventLog with a point after outcomes that are logged together."""

    inner: EventLog
    reach: Reach

    def emit(self, event: Event) -> None:
        self.inner.emit(event)
        if isinstance(event, RunsEnded):
            self.reach(Point.OUTCOME_LOGGED)

    async def ready(self) -> None:
        await self.inner.ready()

    async def sync_rejects(self) -> None:
        await self.inner.sync_rejects()


@dataclass(frozen=True)
class FusedInput:
    """The port Input with points before and after each acknowledgement."""

    inner: Input
    reach: Reach

    @property
    def read_bytes(self) -> int:
        return self.inner.read_bytes

    @property
    def total_bytes(self) -> int | None:
        return self.inner.total_bytes

    def chunks(self) -> AsyncIterator[Chunk]:
        return self.inner.chunks()

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.reach(Point.BEFORE_ACKNOWLEDGING)
        await self.inner.acknowledge(checkpoints)
        self.reach(Point.ACKNOWLEDGED)

    def finish(self) -> None:
        self.inner.finish()

    def stop(self) -> None:
        self.inner.stop()


def main(jobs: str, command: str, point: Point, number: int, words: Sequence[str]) -> int:
    line = parser_of(COMMANDS[command]).read(words)
    settings = load(line.options, line.config, sending=True).settings
    target, options, terminal = target_of(settings), options_of(settings), terminal_of(settings)
    reach = Fuse(point, number).reach

    def wrap(ports: Ports) -> Ports:
        source = ports.source
        if source is not None:
            source = FusedInput(PlannedInput(source) if jobs == "planned" else source, reach)
        return Ports(
            FusedJournal(ports.journal, reach), FusedService(ports.service, reach), FusedLog(ports.log, reach), source
        )

    match command:
        case "run":
            return run(target, options, line.arguments, terminal, wrap=wrap)
        case "resume":
            return resume(target, options, terminal, wrap=wrap)
        case _:
            return reconcile(target, options, None, terminal, wrap=wrap)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1], sys.argv[2], Point(sys.argv[3]), int(sys.argv[4]), sys.argv[5:]))
