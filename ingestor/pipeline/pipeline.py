"""A batch from its input to its end: records are admitted, attempts are made, results are committed.

The steps of a record, each step in the module of its name: intake -> backlog -> slot -> health -> pacer (`dispatch`) ->
send (`attempts`) -> classify -> decide (`worker`) -> commit -> log -> acknowledge (`committer`).
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from math import isfinite

from ingestor.model.activity import Activity, Bound
from ingestor.model.errors import ExitCode, IngestorError, JournalError
from ingestor.model.events import BatchHalted
from ingestor.model.ports import EventLog, Input, Journal, Service, Timekeeper
from ingestor.model.sources import Checkpoint
from ingestor.model.text import one_line
from ingestor.pipeline.acknowledgements import Acknowledgements
from ingestor.pipeline.attempts import Attempts
from ingestor.pipeline.committer import Acknowledge, Commit, Committer
from ingestor.pipeline.dispatch import Dispatch
from ingestor.pipeline.health_monitor import HealthMonitor
from ingestor.pipeline.in_flight import Backlog, Delivery, InFlight
from ingestor.pipeline.intake import Intake
from ingestor.pipeline.options import NOTHING_KNOWN, Known, PipelineOptions, PipelineResult
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.waits import Wait, Waits
from ingestor.pipeline.worker import Worker
from ingestor.policy.advice import Halt
from ingestor.policy.decisions import GiveUp

_RELEASE_TIMEOUT = 5.0  # seconds to take back intents after an error or a cancellation


class Supervisor(ABC):
    """What a pipeline and a reconciliation share: their parts, and the order in which the tasks start and end.

    A subclass says how jobs are admitted, and what an attempt for one of them is.
    """

    def __init__(  # noqa: PLR0913 - the ports
        self,
        options: PipelineOptions,
        service: Service,
        pacer: Pacer,
        log: EventLog,
        clock: Timekeeper,
        *,
        commit: Commit,
        acknowledge: Acknowledge,
        starts: Sequence[Checkpoint] = (),
        known: Known = NOTHING_KNOWN,
    ) -> None:
        self._options = options
        self._pacer = pacer
        self._log = log
        self._halt: Halt | None = None
        self._stop = asyncio.Event()
        self._reason: str | None = None
        self._exhausted = False
        self._drain = options.drain_timeout
        self._reading = Waits()
        self._error: Exception | None = None
        self._backlog = Backlog()
        self._in_flight = InFlight(options.look_ahead, max(options.look_ahead, options.most_jobs))
        self._in_flight.unsent = self._backlog.unsent
        self._acknowledgements = Acknowledgements(starts)
        self._committer = Committer(commit, acknowledge, log, self._in_flight, self._acknowledgements)
        self._monitor = HealthMonitor(options, service, pacer, log, known)
        self._in_flight.on_empty = self._monitor.idle
        self._dispatch = Dispatch(options, self._backlog, self._monitor, pacer, self._attempt)
        attempts = Attempts(options, service, self._dispatch, self._monitor, clock)
        parts = (self._monitor, self._backlog, self._committer)
        self._worker = Worker(options, service, attempts, pacer, log, clock, *parts)

    @abstractmethod
    async def _admit_all(self) -> None:
        """Read everything, and add what is admitted to the backlog. Raises IngestorError."""

    @abstractmethod
    def _attempt(self, delivery: Delivery) -> Coroutine[None, None, None]:
        """Make the next attempt for a job."""

    @property
    def left(self) -> int:
        """Records that were read and have no outcome yet."""
        return len(self._in_flight)

    def activity(self) -> Activity:
        """Return what the work does at this moment. `bound` is better the more regularly this is called."""
        for waits in (self._dispatch.waits, self._reading):
            waits.sample()
        dispatch, pacer, hold = self._dispatch, self._pacer, self._monitor.hold or self._pacer.hold
        rate, oldest = pacer.rate, self._in_flight.oldest
        return Activity(
            health=self._monitor.health.health,
            bound=Bound.OUTAGE if hold is not None else self._bound(),
            hold=hold,
            allowed_rate=rate if isfinite(rate) else None,
            in_flight=dispatch.in_flight,
            slots=dispatch.most,
            backlog=max(0, len(self._in_flight) - dispatch.in_flight),
            left=self.left,
            is_reading=not self._exhausted and not self._stop.is_set(),
            oldest_in_flight=None if oldest is None else oldest.admission.first_sent_at,
        )

    def _bound(self) -> Bound:
        """Return what limits the speed while requests are sent."""
        wait = self._dispatch.waits.longest
        if wait is Wait.PACER:
            return self._pacer.bound
        if self._dispatch.waits.is_busy:
            return Bound.PROCESSOR
        if wait is Wait.BACKLOG:
            return Bound.JOURNAL if self._reading.longest is Wait.JOURNAL else Bound.INPUT
        return Bound.SLOTS if wait is Wait.SLOT else Bound.NOTHING

    @abstractmethod
    def finish(self) -> None:
        """Wait for no more input: process what exists now to its end. Safe to call twice."""

    def stop(self, reason: str = "asked to", *, drain: float | None = None) -> None:
        """Read no more, let what is in flight end, commit, and return from `run`. The first reason counts.

        What is in flight has `drain` seconds to end; None: those of the options.
        """
        self._reason = self._reason or reason
        self._drain = self._drain if drain is None else drain
        self._stop.set()
        self._in_flight.close()

    async def run(self) -> PipelineResult:
        """Process all jobs that are admitted. Raises the IngestorError that ended a part."""
        try:
            await self._work()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        return PipelineResult(
            halt=self._halt,
            stopped=self._stop.is_set() and (self.left > 0 or not self._exhausted),
            left=self.left,
            reason=self._reason,
            exhausted=self._exhausted,
            error=self._error,
        )

    async def _work(self) -> None:
        dispatch = self._dispatch
        async with asyncio.TaskGroup() as group:
            committing = group.create_task(self._committer.run())
            dispatching = group.create_task(dispatch.run(group))
            monitoring = group.create_task(self._monitor.run())
            reading = group.create_task(self._read())
            stopping = group.create_task(self._stop.wait())
            await asyncio.wait({reading, monitoring, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if monitoring.done():
                self._end_early(monitoring.result())
            for task in (stopping, monitoring, dispatching):
                task.cancel()
            await reading
            await asyncio.wait({dispatching})
            await dispatch.drain(self._drain_seconds())
            if (halt := self._monitor.halt) is not None:
                self._end_early(halt)
            self._committer.close()
            if (error := await committing) is not None:
                self._end_early(_decision_of(error))

    async def _read(self) -> None:
        """Read everything and wait until it is done, or until a stop."""
        try:
            await self._admit_all()
            self._exhausted = not self._in_flight.is_closed
        except JournalError:
            raise
        except IngestorError as error:  # what is in flight is still committed: only the journal's loss forbids that
            self._end_early(_decision_of(error))
        except Exception as error:  # noqa: BLE001 - of a program's iterable; the session raises it at its end
            self._error = error
            self.stop(f"the input raised {type(error).__name__}: {one_line(str(error))}")
        while len(self._in_flight) and not self._stop.is_set():
            await self._in_flight.change()

    def _drain_seconds(self) -> float:
        """Return how long attempts in flight may take to end: 0 if the service never answered."""
        is_hopeless = self._halt is not None and not self._monitor.health.has_answered
        return 0.0 if is_hopeless else self._drain

    def _end_early(self, decision: Halt | GiveUp) -> None:
        """Stop for a reason of the work itself. The first halt counts."""
        if isinstance(decision, Halt) and self._halt is None:
            self._halt = decision
            self._log.emit(BatchHalted(decision.reason, decision.advice))
        self.stop(decision.reason)


def _decision_of(error: IngestorError) -> Halt | GiveUp:
    """Return what an error means for the batch: unless it can be continued as it is, something must be fixed."""
    return GiveUp(str(error)) if error.exit_code is ExitCode.STOPPED else Halt(str(error), advice="")


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    known, others = group.split(IngestorError)
    errors = (known or others or group).exceptions
    first = errors[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


class Pipeline(Supervisor):
    """One batch. Create it in a running event loop, and use it once.

    Args:
        options: how the batch is processed.
        source: the records.
        journal: the durable memory of the batch.
        service: receives the requests.
        pacer: the rate limiter of all requests.
        log: receives the events.
        clock: the time that the age of tokens is measured in.
        starts: where the sources of `source` start, with the records that were rejected before; a source that is not
            named starts at its beginning.
        known: what the journal knows before.
    """

    def __init__(  # noqa: PLR0913 - the ports
        self,
        options: PipelineOptions,
        source: Input,
        journal: Journal,
        service: Service,
        pacer: Pacer,
        log: EventLog,
        clock: Timekeeper,
        *,
        starts: Sequence[Checkpoint] = (),
        known: Known = NOTHING_KNOWN,
    ) -> None:
        ports, acknowledge = (service, pacer, log, clock), source.acknowledge
        super().__init__(options, *ports, commit=journal.commit, acknowledge=acknowledge, starts=starts, known=known)
        self._source = source
        self._journal = journal
        work = (self._in_flight, self._backlog, self._committer, self._acknowledgements, self._reading)
        self._intake = Intake(options, known, source, journal, log, *work)

    @property
    def left(self) -> int:
        """Records that were read and have no outcome yet."""
        return super().left + len(self._intake.waiting)

    def finish(self) -> None:
        """Wait for no more input: process what exists now to its end. Safe to call twice."""
        self._source.finish()

    def stop(self, reason: str = "asked to", *, drain: float | None = None) -> None:
        """See the super class. Safe to call twice."""
        super().stop(reason, drain=drain)
        self._source.stop()

    async def run(self) -> PipelineResult:
        """Process the batch to its end. Raises the IngestorError that ended a part (a lost source, the journal).

        Whatever ends it, cancellation too, the intents of what was never sent are taken back.
        """
        try:
            result = await super().run()
        except BaseException:
            with suppress(JournalError, TimeoutError):
                async with asyncio.timeout(_RELEASE_TIMEOUT):
                    await self._release_unsent()
            raise
        await self._release_unsent()
        return result

    async def _admit_all(self) -> None:
        await self._intake.run()

    def _attempt(self, delivery: Delivery) -> Coroutine[None, None, None]:
        return self._worker.make(delivery)

    async def _release_unsent(self) -> None:
        """Take back the intents of jobs that were never sent, so that they do not age."""
        unsent = [delivery.job for delivery in self._in_flight if delivery.is_unsent]
        unsent += self._intake.admitting
        if unsent:
            await asyncio.shield(self._journal.release(unsent))
