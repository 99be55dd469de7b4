"""The life of a session: how it ends early, what observers see of it, and its exit code."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.app.observing.observer import Observer, Watched
from ingestor.app.observing.termination import writing_termination_message
from ingestor.app.options import BatchOptions
from ingestor.app.ports import Ports, Wrap
from ingestor.app.reading import objects
from ingestor.app.session import Session
from ingestor.app.target import Target, aidp
from ingestor.journal.lock import StateDirectory
from ingestor.model.activity import Bound, Phase
from ingestor.model.errors import ExitCode, StateInUseError, UsageError
from ingestor.model.events import BatchFinished
from ingestor.model.record import Job, Reject
from ingestor.model.sources import Source
from ingestor.simulator.options import InjectedFault, SimulatorOptions
from ingestor.testing import PLATFORM_ID, WORKSPACE_KEY, Simulator
from tests.support.memory import MemoryInput
from tests.support.records import jobs

RECORDS = [{"job_id": str(number), "run_name": str(number)} for number in range(20)]


def target_of(simulator: Simulator) -> Target:
    return aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY, auth="none")


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    async with Simulator() as simulator:
        yield target_of(simulator)


@pytest.fixture
def options(tmp_path: Path) -> BatchOptions:
    return BatchOptions(state=tmp_path / "state", senders=0, follow=True)


async def ingest(session: Session, records: object = RECORDS) -> BatchFinished:
    return await session.ingest(objects(records), ["records"])  # type: ignore[arg-type]


def followed(*records: Job | Reject) -> Wrap:
    """Read these records, and wait for more until the input is finished."""

    def wrap(ports: Ports) -> Ports:
        return replace(ports, source=MemoryInput(records, open_end=True, source=Source("records", None)))

    return wrap


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


class Diary:
    """An observer that notes what it sees at the beginning and at the end of its block."""

    def __init__(self) -> None:
        self.pages: list[tuple[str, Phase, bool, int | None, str]] = []

    def __call__(self, watched: Watched) -> AbstractAsyncContextManager[None]:
        return self._watch(watched)

    @asynccontextmanager
    async def _watch(self, watched: Watched) -> AsyncIterator[None]:
        self._note("begin", watched)
        try:
            yield
        finally:
            self._note("end", watched)

    def _note(self, when: str, watched: Watched) -> None:
        is_open = (watched.options.state / "lock").exists()
        self.pages.append((when, watched.phase, is_open, watched.exit_code, watched.sentence()))


class Refusing:
    """An observer that can't begin."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __call__(self, _watched: Watched) -> "Refusing":
        return self

    async def __aenter__(self) -> None:
        raise UsageError(self._reason)

    async def __aexit__(self, *_: object) -> None:
        """Never called: it has not begun."""


async def test_the_first_request_to_end_reads_and_sends_what_exists_and_ends_well(
    target: Target, options: BatchOptions
) -> None:
    session = Session(target, options, wrap=followed(*jobs(20)))
    batch = asyncio.create_task(ingest(session))
    await until(lambda: session.metrics.done == 20)
    phases = [session.life.phase]
    session.life.end_early("stopped by SIGTERM")
    session.life.end_early("a second reason")
    phases.append(session.life.phase)
    finished = await batch
    assert (finished.exit_code, finished.exhausted, finished.left) == (ExitCode.OK, True, 0)
    assert finished.reason is None, "it did not end early"
    assert [*phases, session.life.phase] == [Phase.RUNNING, Phase.DRAINING, Phase.FINISHED]
    assert (session.exit_code, session.life.sentence()) == (ExitCode.OK, "finished with exit code 0: 20 in, 0 left")


async def test_a_request_to_end_before_the_work_begins_reads_what_exists(target: Target, options: BatchOptions) -> None:
    session = Session(target, options, wrap=followed(*jobs(20)))
    session.finish("stopped by SIGTERM")
    assert (await ingest(session)).counts["created"] == 20


async def test_what_can_not_be_sent_within_the_drain_timeout_is_left_and_the_exit_code_says_so(
    options: BatchOptions,
) -> None:
    async with Simulator(SimulatorOptions(faults={InjectedFault.HANG: 1.0}, faults_after=5)) as simulator:
        session = Session(
            target_of(simulator), replace(options, drain_timeout=1.0, rate=200.0), wrap=followed(*jobs(8))
        )
        batch = asyncio.create_task(ingest(session))
        await until(lambda: simulator.statistics.requests >= 8)
        began = asyncio.get_running_loop().time()
        session.life.end_early("stopped by SIGTERM")
        finished = await batch
    assert 0.9 < asyncio.get_running_loop().time() - began < 5
    assert (finished.exit_code, finished.left, finished.reason) == (ExitCode.STOPPED, 3, "stopped by SIGTERM")
    assert session.life.sentence() == "stopped with exit code 75: 5 in, 3 left; stopped by SIGTERM"


async def test_rejected_records_are_reported_by_the_exit_code_of_a_followed_batch(
    target: Target, options: BatchOptions
) -> None:
    session = Session(target, replace(options, follow=False))
    finished = await ingest(session, [*RECORDS, {"run_name": 1}])
    assert (finished.exit_code, session.exit_code) == (ExitCode.INCOMPLETE, ExitCode.INCOMPLETE)
    assert session.life.sentence() == "finished with exit code 3: 20 in, 1 rejected, 0 left"


async def test_a_followed_source_that_is_silent_is_waited_for(target: Target, options: BatchOptions) -> None:
    session = Session(target, options, wrap=followed(*jobs(20)))
    batch = asyncio.create_task(ingest(session))
    await until(lambda: session.metrics.done == 20)
    await until(lambda: (it := session.life.activity()) is not None and it.bound is Bound.INPUT and not it.left)
    assert session.life.sentence() == "waiting for records: 20 in, 0 left"
    session.finish("")
    await batch


async def test_observers_begin_before_the_state_directory_is_open_and_end_after_the_end_is_known(
    target: Target, options: BatchOptions
) -> None:
    outer, inner = Diary(), Diary()
    await ingest(Session(target, options, observers=[outer, inner]))
    begin, end = outer.pages
    assert begin == ("begin", Phase.OPENING, False, None, "starting: opening the state directory and the service")
    assert end == ("end", Phase.FINISHED, True, ExitCode.OK, "finished with exit code 0: 20 in, 0 left")
    assert inner.pages == outer.pages


async def test_observers_see_an_end_before_the_beginning(target: Target, options: BatchOptions) -> None:
    diary = Diary()
    with StateDirectory.open(options.state), pytest.raises(StateInUseError) as caught:
        await ingest(Session(target, options, observers=[diary]))
    assert diary.pages[-1][1:] == (Phase.FINISHED, True, 75, f"stopped with exit code 75: 0 in, 0 left; {caught.value}")


async def test_an_observer_that_can_not_begin_ends_the_session_before_anything_is_open(
    target: Target, options: BatchOptions
) -> None:
    refuse = Refusing("--listen: the port is in use")
    diary = Diary()
    with pytest.raises(UsageError, match="the port is in use"):
        await ingest(Session(target, options, observers=[diary, refuse]))
    assert not options.state.exists()
    assert diary.pages[-1][1:4] == (Phase.FINISHED, False, ExitCode.USAGE)


async def test_a_cancelled_session_counts_as_stopped(target: Target, options: BatchOptions) -> None:
    diary = Diary()
    session = Session(target, options, observers=[diary], wrap=followed(*jobs(20)))
    batch = asyncio.create_task(ingest(session))
    await until(lambda: session.metrics.done == 20)
    batch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await batch
    assert diary.pages[-1][3:] == (ExitCode.STOPPED, "stopped with exit code 75: 20 in, 0 left")


@pytest.mark.parametrize(
    ("budget_exit", "records", "code"),
    [(75, RECORDS, 75), (0, RECORDS, 0), (0, [{"run_name": 1}, *RECORDS], 3), (75, [{"run_name": 1}, *RECORDS], 75)],
)
async def test_a_used_up_time_budget_ends_with_the_code_that_was_asked_for_unless_records_failed(
    options: BatchOptions, budget_exit: int, records: list[object], code: int
) -> None:
    budget = replace(options, follow=False, drain_timeout=0.2, budget_exit=budget_exit)
    async with Simulator(SimulatorOptions(faults={InjectedFault.HANG: 1.0}, faults_after=5)) as simulator:
        session = Session(target_of(simulator), budget)
        batch = asyncio.create_task(ingest(session, records))
        await until(lambda: session.metrics.done == len(records) - 15)
        session.life.use_up_budget()
        finished = await batch
    assert session.exit_code == code
    assert finished.exit_code == ExitCode.STOPPED, "journal and log know that the batch is not finished"
    assert (finished.left > 0, finished.reason) == (True, "the time budget is used up")


async def test_a_halt_within_a_time_budget_stays_a_halt(options: BatchOptions) -> None:
    async with Simulator() as simulator:
        nowhere = aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace="other", auth="none")
        session = Session(nowhere, replace(options, follow=False, time_budget=60.0, budget_exit=0))
        assert (await ingest(session)).exit_code is ExitCode.HALTED
    assert session.exit_code is ExitCode.HALTED


def written_to(path: Path) -> Observer:
    return writing_termination_message(path)


async def test_a_termination_log_that_exists_says_how_much_is_in_and_left(
    target: Target, options: BatchOptions, tmp_path: Path
) -> None:
    path = tmp_path / "termination-log"
    path.write_text("something longer that was there before" * 10)
    await ingest(Session(target, options, observers=[written_to(path)]))
    assert path.read_text() == "finished with exit code 0: 20 in, 0 left\n"


async def test_a_termination_log_is_not_created_and_a_link_is_not_followed(
    target: Target, options: BatchOptions, tmp_path: Path
) -> None:
    missing, link, precious = (tmp_path / name for name in ("missing", "link", "precious"))
    precious.write_text("precious")
    link.symlink_to(precious)
    await ingest(Session(target, options, observers=[written_to(missing), written_to(link)]))
    assert not missing.exists()
    assert precious.read_text() == "precious"


async def test_a_termination_message_is_short_and_has_no_control_characters(
    options: BatchOptions, tmp_path: Path
) -> None:
    path = tmp_path / "termination-log"
    path.touch()

    refuse = Refusing("\x1b[2J\u202e" + "é" * 100_000)
    async with Simulator() as simulator:
        with pytest.raises(UsageError):
            await ingest(Session(target_of(simulator), options, observers=[written_to(path), refuse]))
    text = path.read_text()
    assert text.startswith(r"ended with exit code 2: 0 in, 0 left; \x1b[2J\u202e")
    assert text.count("\n") == 1
    assert len(text.encode()) < 4096


async def test_the_sentence_says_that_no_records_are_accepted_as_long_as_that_lasts(
    target: Target, options: BatchOptions
) -> None:
    session = Session(target, options)
    session.metrics.acceptance.refused_because = "the disk is full"
    assert session.life.sentence().endswith("; no records are accepted: the disk is full")
    session.metrics.acceptance.refused_because = None
    assert "accepted" not in session.life.sentence()
