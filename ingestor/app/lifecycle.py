"""How far a session is, what was asked of it meanwhile, and what observers see of it."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from ingestor.app.exit_codes import exit_code_of, worst
from ingestor.app.observing.observer import Observer
from ingestor.app.options import BatchOptions
from ingestor.app.ports import Work
from ingestor.app.target import Target
from ingestor.journal.journal import SqliteJournal
from ingestor.model.activity import Activity, Phase
from ingestor.model.errors import ExitCode, IngestorError
from ingestor.model.events import BatchFinished
from ingestor.model.lag import InputLag
from ingestor.model.record import Outcome
from ingestor.report.history import History
from ingestor.report.metrics import Metrics
from ingestor.report.output_file import STALL
from ingestor.report.progress import describe
from ingestor.report.recorder import Recorder
from ingestor.report.situation import Situation, sentence

if TYPE_CHECKING:
    from ingestor.app.batch import Batch

T = TypeVar("T")

RESERVE = 2.0
"""Seconds at the end of the drain timeout in which nothing new is sent: requests in flight get them to end.

A quarter of the drain timeout, if that is less."""


OVER_BUDGET = "the time budget is used up"
"""Why a session ends when its time budget is used up."""


class Lifecycle:
    """The life of one session: `Watched` for its observers. The session says what happens; anyone may ask to end it.

    Attributes:
        target: where the runs are created.
        options: how the batch is processed.
        metrics: the counts so far.
        recorder: what the journal will remember of the batch.
        stopping: set once a stop was asked for.
        reason: why the session ends or ended early; None if it does not.
        exit_code: that of the command; None before it is known.
        has_stopped: whether it ended early, and can be continued; the exit code may be another one (`budget_exit`).
        is_cut: whether the input was not read to its end, at the end.
        unread_bytes: how much of it was not, at the end; None: not known.
        is_over_budget: whether the time budget was used up before anything else asked the session to end.
    """

    def __init__(self, target: Target, options: BatchOptions, metrics: Metrics) -> None:
        self.target = target
        self.options = options
        self.metrics = metrics
        self.recorder = Recorder(metrics)
        self.stopping = asyncio.Event()
        self.reason: str | None = None
        self.exit_code: ExitCode | None = None
        self.is_over_budget = False
        self.has_stopped = self.is_cut = False
        self.batch: Batch | None = None
        self.opening_since: float | None = None
        self._work: Work | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self.unread_bytes: int | None = None
        self._left = 0
        self._lag: InputLag | None = None

    @property
    def phase(self) -> Phase:
        """How far the session is."""
        if self.exit_code is not None:
            return Phase.FINISHED
        if self._deadline is not None or self.stopping.is_set():
            return Phase.DRAINING
        return Phase.OPENING if self._work is None else Phase.RUNNING

    @property
    def journal(self) -> SqliteJournal | None:
        """The journal while it is open for a batch; else None."""
        return None if self.batch is None else self.batch.journal

    @property
    def history(self) -> History:
        """How fast the batch was, earlier executions included."""
        return self.recorder.history

    @property
    def left(self) -> int:
        """Records that were read and have no outcome yet."""
        return self._left if self._work is None else self._work.left

    def activity(self) -> Activity | None:
        """Return what the work does at this moment; None before it begins and after it has ended."""
        return None if self._work is None else self._work.activity()

    def lag(self) -> InputLag | None:
        """Return how far the input is read, or was at the end; None where that is known from what was read alone."""
        reading_lag = None if self.batch is None else self.batch.reading_lag
        return self._lag if reading_lag is None else reading_lag()

    def sentence(self) -> str:
        """Return what the batch does now, and why it is not faster, in one sentence of printable text."""
        situation = Situation(
            phase=self.phase,
            activity=self.activity(),
            counts=self.metrics.counts,
            already_done=self.metrics.already_done,
            left=self.left,
            rate=self.metrics.snapshot().rate,
            reason=self.reason,
            is_cut=self.is_cut,
            unread_bytes=self.unread_bytes,
            refused_because=self.metrics.acceptance.refused_because,
            exit_code=self.exit_code,
        )
        return sentence(situation, time.time())

    def status_line(self) -> str:
        """Return what the batch does now, and its counts, in one line of printable text."""
        return f"{self.sentence()}; {describe(self.metrics.snapshot())}"

    def waits_for(self) -> list[str]:
        """Return what the work has been waiting for, for longer than a few seconds, in sentences; from any thread."""
        since, batch = self.opening_since, self.batch
        if since is not None and time.monotonic() - since > STALL:
            return [f"the state directory {self.options.state} does not answer"]
        return [] if batch is None else batch.waits_for()

    @property
    def drain_seconds(self) -> float:
        """How long requests in flight, and the readers of log and rejects, have to end after a stop."""
        return self.options.drain_timeout if self._deadline is None else self._reserve

    @property
    def _reserve(self) -> float:
        return min(RESERVE, self.options.drain_timeout / 4)

    @asynccontextmanager
    async def opening(self, state: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
        """Open a state directory for the block. What takes long is named."""
        self.opening_since = time.monotonic()
        try:
            async with state as opened:
                self.opening_since = None
                yield opened
        finally:
            self.opening_since = None

    def stop(self, reason: str) -> None:
        """Stop: read no more, let requests in flight end, write everything. The first reason counts."""
        self.reason = self.reason or reason
        self.stopping.set()
        if self._work is not None:
            self._work.stop(self.reason, drain=self.drain_seconds)

    def finish(self, reason: str) -> None:
        """Wait for no more input: read what exists now, and send it. Stop when the drain timeout is over."""
        if self._deadline is not None or self.stopping.is_set():
            return
        self.reason, loop = reason, asyncio.get_running_loop()
        self._deadline = loop.call_later(self.options.drain_timeout - self._reserve, self.stop, reason)
        if self._work is not None:
            self._work.finish()

    def end_early(self, reason: str) -> None:
        """End as a first signal asks for: finish if the sources are followed, else stop."""
        if self.options.follow:
            self.finish(reason)
        else:
            self.stop(reason)

    def use_up_budget(self) -> None:
        """End because the time budget is used up."""
        self.is_over_budget = self.reason is None
        self.end_early(OVER_BUDGET)

    def begin(self, work: Work) -> None:
        """Record that the work begins."""
        self._work = work
        if self.stopping.is_set():
            work.stop(self.reason or "", drain=self.drain_seconds)
        elif self._deadline is not None:
            work.finish()

    def end_work(self) -> None:
        """Record that the work has ended."""
        self._left, self._lag, self._work = self.left, self.lag(), None

    @asynccontextmanager
    async def observed(self, observers: Sequence[Observer]) -> AsyncIterator[None]:
        """Let observers watch the block and its end. The block calls `end`; an error ends it with its exit code."""
        async with AsyncExitStack() as watching:
            try:
                for observe in observers:
                    await watching.enter_async_context(observe(self))
                yield
            except asyncio.CancelledError:
                self.end(ExitCode.STOPPED, self.reason)
                raise
            except IngestorError as error:
                self.end(error.exit_code, str(error))
                raise
            except Exception as error:
                self.end(ExitCode.HALTED, str(error))
                raise
            finally:
                if self._deadline is not None:
                    self._deadline.cancel()

    def end(self, code: int, reason: str | None) -> None:
        """Record how the session ended."""
        self.exit_code, self.reason = ExitCode(code), reason

    def end_well(self, ends: Sequence[BatchFinished], decisive: Collection[Outcome] = tuple(Outcome)) -> None:
        """Record how its batches ended, each by itself.

        If it was over budget and that counts as a success, the counts of the `decisive` outcomes decide.
        """
        self.end(worst(ends), ends[-1].reason if ends else None)
        self.has_stopped = self.exit_code is ExitCode.STOPPED
        self.is_cut = any(not it.exhausted for it in ends)
        self.unread_bytes = ends[-1].unread_bytes if ends else None
        if self.has_stopped and self.is_over_budget and self.options.budget_exit == ExitCode.OK:
            self.exit_code = exit_code_of(counts={it: sum(end.counts.get(it, 0) for end in ends) for it in decisive})
