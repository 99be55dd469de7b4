"""The session, over its ports: what it opens, in which order it ends, and what it reports."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from ingestor.app.machine import SteadyClock
from ingestor.app.options import BatchOptions
from ingestor.app.ports import JobStore, Ports, Reading, Wrap
from ingestor.app.reading import from_the_start, objects
from ingestor.app.session import Session
from ingestor.app.target import Target, aidp, mlflow
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.journal.reader import known_sources, status
from ingestor.model.admission import Admission, UnsettledJob
from ingestor.model.errors import ExitCode, JournalError, SpoolError, UsageError
from ingestor.model.events import BatchFinished, BatchStarted, Event
from ingestor.model.ports import Changes, Input
from ingestor.model.record import Job, Outcome, Result
from ingestor.model.sources import Checkpoint, Chunk, KeptRecord
from ingestor.policy.identity import Scope
from ingestor.report.appender import ReportError
from ingestor.sources.locate import locate
from ingestor.testing import PLATFORM_ID, WORKSPACE_KEY, Simulator
from tests.support.records import job

RECORDS = [{"job_id": str(number), "run_name": str(number)} for number in range(20)]


class Seen:
    """An event sink that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def emit(self, event: Event) -> None:
        self.events.append(event)


@dataclass
class BrokenInput:
    """The port Input: fails after the first chunk of another one."""

    inner: Input
    error: Exception

    read_bytes = 0
    total_bytes: int | None = None

    async def chunks(self) -> AsyncIterator[Chunk]:
        async for chunk in self.inner.chunks():
            yield chunk
            raise self.error

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        await self.inner.acknowledge(checkpoints)

    def finish(self) -> None:
        self.inner.finish()

    def stop(self) -> None:
        self.inner.stop()


@dataclass
class FullJournal:
    """The journal on a full disk: it can be read, and nothing can be admitted."""

    inner: JobStore

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        raise JournalError("the disk is full")

    async def commit(self, changes: Changes) -> int:
        return await self.inner.commit(changes)

    async def conclude(self, results: Sequence[Result]) -> int:
        return await self.inner.conclude(results)

    async def release(self, jobs: Sequence[Job]) -> None:
        await self.inner.release(jobs)

    async def kept_records(self, outcome: Outcome, *, after: int, limit: int) -> Sequence[KeptRecord]:
        return await self.inner.kept_records(outcome, after=after, limit=limit)

    async def count_unsettled(self) -> int:
        return await self.inner.count_unsettled()

    async def unsettled(self, *, pending: bool, after: int, limit: int) -> Sequence[UnsettledJob]:
        return await self.inner.unsettled(pending=pending, after=after, limit=limit)


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
def target(simulator: Simulator) -> Target:
    return aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY, auth="none")


@pytest.fixture
def options(tmp_path: Path) -> BatchOptions:
    return BatchOptions(state=tmp_path / "state", senders=0)


async def ingest(session: Session, records: Sequence[object] = RECORDS) -> BatchFinished:
    return await session.ingest(objects(records), ["records"])


def logged(options: BatchOptions) -> list[dict[str, object]]:
    log = options.log_path
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


async def test_a_batch_begins_and_ends_in_log_journal_and_views(target: Target, options: BatchOptions) -> None:
    seen = Seen()
    finished = await ingest(Session(target, options, views=[seen]))

    assert (finished.exit_code, finished.counts["created"], finished.left) == (ExitCode.OK, 20, 0)
    assert isinstance(seen.events[0], BatchStarted)
    assert seen.events[-1] == finished
    events = logged(options)
    assert (events[0]["event"], events[-1]["event"]) == ("batch.started", "batch.finished")
    (batch,) = status(options.state, now=0).batches
    assert batch.last_execution is not None
    assert (batch.last_execution.exit_code, batch.last_execution.left) == (0, 0)


async def test_a_stop_before_the_work_begins_reads_nothing(
    simulator: Simulator, target: Target, options: BatchOptions
) -> None:
    session = Session(target, options)
    session.stop("asked to")
    finished = await ingest(session)
    assert (finished.exit_code, finished.reason, finished.exhausted) == (ExitCode.STOPPED, "asked to", False)
    assert simulator.statistics.requests == 0


async def test_the_first_reason_of_a_stop_counts(target: Target, options: BatchOptions) -> None:
    session = Session(target, options)
    session.stop("first")
    session.stop("second")
    assert (await ingest(session)).reason == "first"


async def test_an_input_of_which_all_bytes_were_read_was_read_to_its_end(target: Target, options: BatchOptions) -> None:
    def broken(size: int) -> Wrap:
        def wrap(ports: Ports) -> Ports:
            assert ports.source is not None
            source = BrokenInput(ports.source, SpoolError("no room"))
            source.read_bytes, source.total_bytes = 100, size
            return replace(ports, source=source)

        return wrap

    assert (await ingest(Session(target, options, wrap=broken(100)))).exhausted
    assert not (await ingest(Session(target, options, wrap=broken(200)))).exhausted


async def test_an_error_of_the_source_halts_the_batch_and_is_kept(
    simulator: Simulator, target: Target, options: BatchOptions
) -> None:
    def wrap(ports: Ports) -> Ports:
        assert ports.source is not None
        return replace(ports, source=BrokenInput(ports.source, SpoolError("no room")))

    session = Session(target, options, wrap=wrap)
    finished = await ingest(session)

    assert (finished.exit_code, finished.reason) == (ExitCode.HALTED, "no room")
    assert [event["event"] for event in logged(options)[-2:]] == ["batch.halted", "batch.finished"]
    assert finished.counts["created"] <= simulator.statistics.run_count, "a halt before any answer waits for none"
    assert (await ingest(Session(target, options))).exit_code is ExitCode.OK
    assert simulator.statistics.run_count == 20


async def test_an_error_of_the_journal_halts_the_batch_and_nothing_is_sent(
    simulator: Simulator, target: Target, options: BatchOptions
) -> None:
    session = Session(target, options, wrap=lambda ports: replace(ports, journal=FullJournal(ports.journal)))
    finished = await ingest(session)

    assert (finished.exit_code, simulator.statistics.requests) == (ExitCode.HALTED, 0)
    assert isinstance(session.error, JournalError)


async def test_an_iterable_that_was_not_read_to_its_end_is_known(target: Target, options: BatchOptions) -> None:
    session = Session(target, options)
    session.stop("over")
    await ingest(session)
    scope = target.scope(options.batch)
    assert [(it.source.name, it.source.path, it.end) for it in known_sources(options.state, scope)] == [
        ("records", None, None)
    ]


async def test_a_reconciliation_is_no_execution_and_touches_no_rejects(target: Target, options: BatchOptions) -> None:
    await ingest(Session(target, options), [*RECORDS, {"run_name": 1}])
    before = status(options.state, now=0).batches[0].last_execution, options.rejects_path.read_bytes()

    (finished,) = await Session(target, options).reconcile([options.batch])

    assert (finished.exit_code, finished.counts["created"]) == (ExitCode.OK, 0)
    assert before == (status(options.state, now=0).batches[0].last_execution, options.rejects_path.read_bytes())


async def test_the_time_budget_covers_all_batches_of_a_reconciliation(target: Target, options: BatchOptions) -> None:
    for name in ("a", "b"):
        await ingest(Session(target, replace(options, batch=name)))
    session = Session(target, options)
    session.stop("over")
    ends = await session.reconcile(["a", "b"])
    assert [end.batch for end in ends] == ["a"]


async def test_a_batch_that_can_not_begin_is_not_logged_as_started(target: Target, options: BatchOptions) -> None:
    async def refuse(_journal: SqliteJournal, _scope: Scope) -> Reading:
        raise UsageError("not now")

    with pytest.raises(UsageError, match="not now"):
        await Session(target, options).ingest(refuse, ["records"])
    assert logged(options) == []


async def test_what_is_read_gets_the_scope_that_the_journal_has_once_the_directory_is_owned(
    options: BatchOptions,
) -> None:
    """The batch went to the server under another address: tokens are derived from that one, and stored under it."""
    before, now = mlflow("http://127.0.0.1:1"), mlflow("http://127.0.0.2:1")
    with StateDirectory.open(options.state) as state:
        async with SqliteJournal.open(state, before.scope(options.batch), SteadyClock()) as journal:
            await journal.admit([job(1)], stamped=True)
    scopes: list[Scope] = []

    async def look(_journal: SqliteJournal, scope: Scope) -> Reading:
        scopes.append(scope)
        raise UsageError("enough")

    with pytest.raises(UsageError, match="enough"):
        await Session(now, replace(options, same_server=True)).ingest(look, ["records"])
    assert scopes == [before.scope(options.batch)]


async def test_a_named_pipe_that_no_program_writes_to_is_named_during_a_batch(
    target: Target, options: BatchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.sources.reader.STALL", 0.0)
    fifo = tmp_path / "runs.jsonl"
    os.mkfifo(fifo)
    session = Session(target, options)
    batch = asyncio.create_task(session.ingest(from_the_start(locate([str(fifo)])), [str(fifo)]))
    async with asyncio.timeout(30):
        while not (waits := session.waits_for()):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
        os.close(await asyncio.to_thread(os.open, fifo, os.O_WRONLY))
        assert (await batch).exit_code is ExitCode.OK
    assert waits == [f"waiting for a program that writes to {fifo}"]


async def test_a_log_that_nobody_reads_after_a_stop_ends_the_batch_as_stopped_and_is_no_halt(
    target: Target, options: BatchOptions, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "fifo")
    session = Session(target, replace(options, log=tmp_path / "fifo", drain_timeout=0.0))
    ending = asyncio.create_task(ingest(session))
    async with asyncio.timeout(30):
        while not session.waits_for():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    session.stop("stopped by SIGTERM")
    finished = await ending
    assert (finished.exit_code, finished.counts["created"]) == (ExitCode.STOPPED, len(RECORDS))
    assert "nothing took its lines" in str(finished.reason)
    assert (session.metrics.halt, session.error) == (None, None)
    os.close(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK))  # lets the writing thread end


async def test_rejects_that_can_not_be_finished_halt_the_batch(target: Target, options: BatchOptions) -> None:
    rejects = options.state.with_name("r" * 240 + ".jsonl")  # with a time, the name is too long for a file
    rejects.write_text('{"source":"of an earlier run"}\n')
    session = Session(target, replace(options, rejects=rejects))
    finished = await ingest(session)

    assert finished.exit_code is ExitCode.HALTED
    assert "can't be renamed" in str(finished.reason)
    assert isinstance(session.error, ReportError)
    halted, last = logged(options)[-2:]
    assert (halted["event"], last["event"], last["exit_code"]) == ("batch.halted", "batch.finished", 4)


async def test_two_sessions_never_share_a_state_directory(target: Target, options: BatchOptions) -> None:
    first, second = await asyncio.gather(
        ingest(Session(target, options)), ingest(Session(target, options)), return_exceptions=True
    )
    kinds = {type(first).__name__, type(second).__name__}
    assert kinds == {"BatchFinished", "StateInUseError"}
