"""`ingestor run` that dies at a named point: python -m tests.crash.driver POINT NUMBER RUN-OPTIONS... SOURCE.

It is put together by `service.ingest` as the command is; only its ports are wrapped. At the NUMBERth time that the
point is reached it sends itself SIGKILL.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingestor.commands import parser_of
from ingestor.model.events import Event, RunSettled
from ingestor.model.finding import Finding
from ingestor.model.job import Job
from ingestor.model.outcome import Result
from ingestor.model.ports import Account, Admission, Journal, Pace, Target
from ingestor.model.reply import Reply
from ingestor.service.ingest import Ports, ingest
from ingestor.service.parts import scope_of
from ingestor.settings.load import load
from ingestor.settings.options import Settings
from ingestor.settings.pages import COMMANDS
from ingestor.sources.reader import open_sources


class Point(StrEnum):
    """Where a process dies, in the order of a job's way."""

    BEFORE_INTENT = "before-intent"
    INTENT_WRITTEN = "intent-written"
    BEFORE_SEND = "before-send"
    ANSWER_RECEIVED = "answer-received"
    BEFORE_OUTCOME = "before-outcome"
    OUTCOME_DURABLE = "outcome-durable"
    OUTCOME_TOLD = "outcome-told"


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
    reach: Callable[[Point], None]

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
class FusedTarget:
    """The port Target with points before each attempt and behind its answer."""

    inner: Target
    reach: Callable[[Point], None]

    async def create(self, job: Job, *, stamped: bool) -> Reply:
        self.reach(Point.BEFORE_SEND)
        reply = await self.inner.create(job, stamped=stamped)
        self.reach(Point.ANSWER_RECEIVED)
        return reply

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        return await self.inner.find(token, experiment_id, pace)

    async def probe(self) -> Reply:
        return await self.inner.probe()

    async def renew_credentials(self) -> bool:
        return await self.inner.renew_credentials()


@dataclass(frozen=True)
class FusedAccount:
    """The port Account with a point behind each outcome that is told."""

    inner: Account
    reach: Callable[[Point], None]

    def emit(self, event: Event) -> None:
        self.inner.emit(event)
        if isinstance(event, RunSettled):
            self.reach(Point.OUTCOME_TOLD)

    async def ready(self) -> None:
        await self.inner.ready()


def settings_of(words: Sequence[str]) -> tuple[Settings, list[str]]:
    """Read the options of `ingestor run` and its sources."""
    line = parser_of(COMMANDS["run"]).read(words)
    return load(line.options, line.config, sending=True).settings, list(line.arguments)


def main(point: Point, number: int, words: Sequence[str]) -> int:
    settings, sources = settings_of(words)
    reach = Fuse(point, number).reach

    def wrap(ports: Ports) -> Ports:
        return Ports(
            FusedJournal(ports.journal, reach), FusedTarget(ports.target, reach), FusedAccount(ports.account, reach)
        )

    finished = asyncio.run(ingest(open_sources(sources, scope_of(settings)), settings, wrap=wrap))
    return int(finished.exit_code)


if __name__ == "__main__":
    raise SystemExit(main(Point(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
