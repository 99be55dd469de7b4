"""The library: what `import ingestor` gives to notebooks and other programs.

It prints nothing, installs no signal handlers, reads no INGESTOR_* variables, and keeps no copy of what iterables
yield.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypedDict, Unpack

from ingestor.app.options import BatchOptions, Concurrency, checked, options_of, to_path
from ingestor.app.reading import (
    OBJECTS,
    AnyPath,
    Records,
    from_the_start,
    objects,
    objects_of,
    paths_of,
    reserved_paths,
)
from ingestor.app.scope import batches_to_reconcile
from ingestor.app.session import Session
from ingestor.app.target import Target
from ingestor.app.threads import run_in_thread
from ingestor.journal import reader
from ingestor.journal.reader import ResultRow
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.events import BatchFinished, Event
from ingestor.model.ports import Input
from ingestor.model.record import Reject, State
from ingestor.policy.identity import Scope
from ingestor.sources.locate import locate
from ingestor.sources.reader import read_sources
from ingestor.sources.thread_channel import ProducerExit

OnEvent = Callable[[Event], object]
"""Receives every event of a batch (`ingestor.model.events`). It must return soon."""

MOST_REJECTS = 1000
"""How many invalid records a CheckReport keeps."""


class Options(TypedDict, total=False):
    """How a batch is processed. `ingestor.app.options.BatchOptions` has the meanings and the defaults."""

    log: AnyPath | None
    rejects: AnyPath | None
    stamp: bool
    retry_tokens: bool | None
    allow_network_state: bool
    new_state: bool
    same_server: bool
    log_max_bytes: int | None
    log_keep: int
    rate: float | None
    concurrency: Concurrency
    senders: int
    timeout: float
    max_attempts: int
    max_retry_time: float
    max_pause: float
    give_up_after: float | None
    wait_for_service: bool
    time_budget: float | None
    drain_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How a batch, or a reconciliation, ended.

    Attributes:
        counts: records per outcome, by its name, and `already_done`: those whose runs an earlier execution completed.
            After a reconciliation, `created` counts the runs that were found. `failed` counts the jobs that have no
            run: the next `ingest` sends them again.
        left: records that were read and have no outcome yet.
        exit_code: the exit code that the command line would return; OK: every record is a complete run.
        duration: seconds.
        reason: why it ended early, if it did.
        advice: what to check, if something is wrong for every record.
    """

    counts: Mapping[str, int]
    left: int
    exit_code: ExitCode
    duration: float
    reason: str | None = None
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """How many records are valid and invalid. `rejects` has the first MOST_REJECTS invalid ones, with reasons."""

    valid: int
    invalid: int
    rejects: Sequence[Reject]


async def ingest(
    records: Records,
    target: Target,
    *,
    batch: str = "default",
    state: AnyPath = ".ingestor",
    on_event: OnEvent | None = None,
    **options: Unpack[Options],
) -> Report:
    """Create one run for each record, exactly once, and return how the batch ended.

    Records whose runs exist are not sent again, so you can repeat the same call at any time. If it is cancelled,
    nothing is lost.

    Args:
        records: what to read.
        target: where the runs are created (`aidp`, `mlflow`).
        batch: the name of the set in which a record becomes one run only.
        state: the state directory, which records what was done. It is created if it does not exist.
        on_event: receives every event. If it raises, the batch ends early, and the error is raised here.
        **options: how the batch is processed (`Options`).

    Raises:
        UsageError: an option, a path or the target can't be used.
        StateInUseError: another process or call uses the state directory.
        JournalError: the journal can't be read or written; JournalVersionError if another version wrote it.
        CredentialsError: the credentials can't be loaded or renewed.
        IngestorError: log or rejects can't be written. It is the base of all errors above.
    """
    call = _Call(target, options_of(batch, state, options), on_event)
    return await call.ingest(records)


def ingest_sync(
    records: Records,
    target: Target,
    *,
    batch: str = "default",
    state: AnyPath = ".ingestor",
    on_event: OnEvent | None = None,
    **options: Unpack[Options],
) -> Report:
    """Like `ingest`, but blocks until the batch ends. It also works inside a running event loop, as in a notebook.

    The batch runs in a thread of its own, which also calls `on_event`. KeyboardInterrupt stops the batch.
    """
    call = _Call(target, options_of(batch, state, options), on_event)
    return run_in_thread(partial(call.ingest, records), call.stop)


async def reconcile(
    target: Target,
    *,
    batch: str | None = None,
    state: AnyPath = ".ingestor",
    on_event: OnEvent | None = None,
    **options: Unpack[Options],
) -> Report:
    """Look for the run of every job whose outcome is not known; creates no runs.

    Args:
        target: where the runs were sent.
        batch: the batch; None is every batch of the target.
        state: the state directory.
        on_event: as in `ingest`.
        **options: as in `ingest`.

    Raises:
        IngestorError: as in `ingest`; UsageError also if there is no journal.
    """
    call = _Call(target, options_of("default" if batch is None else batch, state, options), on_event)
    return await call.reconcile(batch)


def reconcile_sync(
    target: Target,
    *,
    batch: str | None = None,
    state: AnyPath = ".ingestor",
    on_event: OnEvent | None = None,
    **options: Unpack[Options],
) -> Report:
    """Like `reconcile`, but blocks until its end (see `ingest_sync`)."""
    call = _Call(target, options_of("default" if batch is None else batch, state, options), on_event)
    return run_in_thread(partial(call.reconcile, batch), call.stop)


def check(records: Records) -> CheckReport:
    """Validate records and send nothing.

    Raises:
        UsageError: a path can't be read.
    """
    scope, paths = Scope("", "", "default"), paths_of(records)
    source: Input = objects_of(records, scope) if paths is None else read_sources(locate(paths).sources, scope)
    return run_in_thread(partial(_check, source), source.stop)


def results(
    state: AnyPath = ".ingestor", *, outcome: str | None = None, batch: str | None = None
) -> Iterator[ResultRow]:
    """Return what is in the journal about every job, in the order in which they were first sent.

    Args:
        state: the state directory.
        outcome: only jobs in this state: "created", "partial", "failed", "unresolved", "pending" or "forgotten".
        batch: only jobs of this batch.

    Raises:
        UsageError: there is no journal, or no such outcome.
        JournalError: the journal can't be read.
    """
    if outcome is not None and outcome not in list(State):
        raise UsageError(f"outcome: must be one of {', '.join(State)}")
    path = checked("state", to_path, state)
    return reader.results(path, batch=batch, outcome=None if outcome is None else State(outcome))


class _Call:
    """One call of the library: a session, and the callback of its user."""

    def __init__(self, target: Target, options: BatchOptions, on_event: OnEvent | None) -> None:
        self._on_event = on_event
        self._error: Exception | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        if not isinstance(target, Target):
            raise UsageError(f"target: must be made by aidp or mlflow, not {type(target).__name__}")
        if on_event is not None and not callable(on_event):
            raise UsageError(f"on_event: must be callable, not {type(on_event).__name__}")
        self._session = Session(target, options, views=() if on_event is None else (self,))

    def emit(self, event: Event) -> None:
        """Call the callback. Its first error ends the batch."""
        if self._on_event is None or self._error is not None:
            return
        try:
            self._on_event(event)
        except Exception as error:  # noqa: BLE001 - it is raised where the call ends
            self._error = error
            self._session.stop("on_event raised an error")

    def stop(self) -> None:
        """Stop; to be called from another thread."""
        if self._loop is None:
            self._session.stop("interrupted")  # before the loop runs: the work stops when it begins
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._session.stop, "interrupted")

    async def ingest(self, records: Records) -> Report:
        self._loop = asyncio.get_running_loop()
        paths = paths_of(records)
        if paths is None:
            reading = objects(records)
        else:
            reserved = reserved_paths(self._session.options)
            reading = from_the_start(await asyncio.to_thread(locate, paths, reserved))
        try:
            return self._report([await self._session.ingest(reading, paths or [OBJECTS])])
        except ProducerExit as error:
            raise error.reason from None

    async def reconcile(self, batch: str | None) -> Report:
        self._loop = asyncio.get_running_loop()
        session = self._session
        names = await asyncio.to_thread(batches_to_reconcile, session.target, session.options, batch)
        return self._report(await self._session.reconcile(names))

    def _report(self, ends: Sequence[BatchFinished]) -> Report:
        """Sum up how batches ended. Raises the error that ended the last one."""
        for error in (self._error, self._session.error):
            if error is not None:
                raise error
        metrics = self._session.metrics
        counts = {str(outcome): count for outcome, count in metrics.counts.items()}
        return Report(
            counts=counts | {"already_done": metrics.already_done},
            left=sum(end.left for end in ends),
            exit_code=self._session.exit_code,
            duration=sum(end.duration for end in ends),
            reason=next((end.reason for end in ends if end.reason is not None), None),
            advice=None if metrics.halt is None else metrics.halt.advice,
        )


async def _check(source: Input) -> CheckReport:
    valid, rejects, invalid = 0, list[Reject](), 0
    try:
        async for chunk in source.chunks():
            found = [it for it in chunk.records if isinstance(it, Reject)]
            valid, invalid = valid + len(chunk.records) - len(found), invalid + len(found)
            rejects += found[: MOST_REJECTS - len(rejects)]
    except ProducerExit as error:
        raise error.reason from None
    return CheckReport(valid, invalid, rejects)
