"""`ingestor.ingest` and `ingestor.ingest_sync`, as a notebook and other programs use them."""

import asyncio
import gzip
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import ingestor
from ingestor.app.library import _Call
from ingestor.app.options import BatchOptions
from ingestor.app.reading import Records
from ingestor.model.events import BatchFinished, BatchStarted, Event, RunsEnded
from ingestor.testing import PLATFORM_ID, WORKSPACE_KEY, Simulator

RECORDS: list[dict[str, object]] = [{"job_id": str(number), "run_name": f"run {number}"} for number in range(30)]
LINES = [json.dumps(record) for record in RECORDS]


def counted(**counts: int) -> dict[str, int]:
    names = ("created", "partial", "rejected", "failed", "unresolved", "duplicate", "forgotten", "already_done")
    return dict.fromkeys(names, 0) | counts


def run_names(simulator: Simulator) -> set[object]:
    return {run["run_name"] for run in simulator.statistics.runs()}


def generator() -> Iterator[dict[str, object]]:
    yield from RECORDS


async def async_generator() -> AsyncIterator[dict[str, object]]:
    for record in RECORDS:
        await asyncio.sleep(0)
        yield record


GIVEN: dict[str, Callable[[], Records]] = {
    "a list of dictionaries": lambda: RECORDS,
    "a generator": generator,
    "an async generator": async_generator,
    "a generator of JSON": lambda: iter(LINES),
    "a generator of JSON bytes": lambda: (line.encode() for line in LINES),
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
async def test_every_object_becomes_one_run(
    simulator: Simulator, target: ingestor.Target, state: Path, given: Callable[[], Records]
) -> None:
    report = await ingestor.ingest(given(), target, state=state, senders=0)

    assert (report.exit_code, report.left, report.reason) == (0, 0, None)
    assert report.counts == counted(created=30)
    assert simulator.statistics.run_count == 30
    assert run_names(simulator) == {record["run_name"] for record in RECORDS}


async def test_a_single_dictionary_is_one_record(simulator: Simulator, target: ingestor.Target, state: Path) -> None:
    report = await ingestor.ingest(RECORDS[0], target, state=state, senders=0)
    assert report.counts == counted(created=1)


@pytest.mark.parametrize("kind", [str, Path, lambda path: [str(path)], lambda path: (path, path.with_name("b.jsonl"))])
async def test_paths_are_read_as_on_the_command_line(
    tmp_path: Path, simulator: Simulator, target: ingestor.Target, state: Path, kind: Callable[[Path], Records]
) -> None:
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress("\n".join(LINES).encode()))
    packed.with_name("b.jsonl").write_text(LINES[0])

    report = await ingestor.ingest(kind(packed), target, state=state, senders=0)

    assert report.exit_code == 0
    assert report.counts["created"] == simulator.statistics.run_count == 30


async def test_a_repeated_call_creates_nothing(simulator: Simulator, target: ingestor.Target, state: Path) -> None:
    await ingestor.ingest(RECORDS[:20], target, state=state, senders=0)
    report = await ingestor.ingest(RECORDS, target, state=state, senders=0)
    assert report.counts == counted(created=10, already_done=20)
    assert simulator.statistics.run_count == 30


async def test_a_bad_record_costs_itself_and_its_number_is_its_line(
    simulator: Simulator, target: ingestor.Target, state: Path
) -> None:
    report = await ingestor.ingest([RECORDS[0], {"run_name": 7}, RECORDS[1]], target, state=state, senders=0)

    assert (report.exit_code, report.counts) == (3, counted(created=2, rejected=1))
    (reject,) = map(json.loads, (state / "rejects.jsonl").read_text().splitlines())
    assert (reject["source"], reject["line"]) == ("records", 2)
    assert "run_name: must be a string" in reject["reason"]


async def test_events_are_reported_in_order(target: ingestor.Target, state: Path) -> None:
    events: list[Event] = []
    await ingestor.ingest(RECORDS, target, state=state, on_event=events.append, senders=0)
    assert isinstance(events[0], BatchStarted)
    assert isinstance(events[-1], BatchFinished)
    assert sum(len(event.results) for event in events if isinstance(event, RunsEnded)) == 30


async def test_an_error_of_on_event_stops_the_batch_and_is_raised(
    simulator: Simulator, target: ingestor.Target, state: Path
) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, RunsEnded):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ingestor.ingest(RECORDS, target, state=state, on_event=fail, senders=0)

    report = await ingestor.ingest(RECORDS, target, state=state, senders=0)
    assert report.exit_code == 0
    assert simulator.statistics.run_count == 30


async def test_an_error_of_the_iterable_is_raised_and_the_next_call_does_the_rest(
    simulator: Simulator, target: ingestor.Target, state: Path
) -> None:
    def broken() -> Iterator[dict[str, object]]:
        yield from RECORDS[:10]
        raise LookupError("the source broke")

    events: list[Event] = []
    with pytest.raises(LookupError, match="the source broke"):
        await ingestor.ingest(broken(), target, state=state, senders=0, on_event=events.append)
    finished = events[-1]
    assert isinstance(finished, BatchFinished)
    assert finished.exit_code == ingestor.ExitCode.STOPPED
    assert finished.reason == "the input raised LookupError: the source broke"
    assert list(ingestor.results(state, outcome="pending")) == []

    assert (await ingestor.ingest(RECORDS, target, state=state, senders=0)).exit_code == 0
    assert simulator.statistics.run_count == 30


async def test_a_cancelled_call_loses_nothing(simulator: Simulator, target: ingestor.Target, state: Path) -> None:
    running = asyncio.create_task(ingestor.ingest(RECORDS * 40, target, state=state, senders=0, rate=20))
    async with asyncio.timeout(60):
        while simulator.statistics.run_count < 3:  # noqa: ASYNC110 - the service has no event for it
            await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    report = await ingestor.ingest(RECORDS, target, state=state, senders=0)
    assert report.exit_code == 0
    assert simulator.statistics.run_count == 30


async def test_a_time_budget_stops_the_batch(target: ingestor.Target, state: Path) -> None:
    report = await ingestor.ingest(RECORDS, target, state=state, senders=0, rate=1, time_budget=0.5)
    assert report.exit_code == 75
    assert report.reason == "the time budget is used up"
    assert report.left > 0


def test_the_twin_works_without_an_event_loop(simulator: Simulator, target: ingestor.Target, state: Path) -> None:
    report = ingestor.ingest_sync(generator(), target, state=state, senders=0)
    assert report.counts == counted(created=30)


async def test_the_twin_works_inside_a_running_event_loop(
    simulator: Simulator, target: ingestor.Target, state: Path
) -> None:
    for given in (RECORDS, async_generator()):
        report = ingestor.ingest_sync(given, target, state=state, senders=0)
        assert report.exit_code == 0
    assert simulator.statistics.run_count == 30


def test_the_twin_calls_on_event_and_raises_errors_in_the_calling_thread(target: ingestor.Target, state: Path) -> None:
    threads: set[threading.Thread] = set()
    ingestor.ingest_sync(
        RECORDS, target, state=state, senders=0, on_event=lambda _: threads.add(threading.current_thread())
    )
    assert threads
    assert threading.current_thread() not in threads
    with pytest.raises(ingestor.UsageError, match="there is no such file"):
        ingestor.ingest_sync("nowhere.jsonl", target, state=state)


def test_an_interrupt_stops_the_twin(simulator: Simulator, target: ingestor.Target, state: Path) -> None:
    seen: list[Event] = []

    def interrupt(event: Event) -> None:
        seen.append(event)
        if sum(isinstance(it, RunsEnded) for it in seen) == 1 and isinstance(event, RunsEnded):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        ingestor.ingest_sync(RECORDS, target, state=state, on_event=interrupt, senders=0, rate=2)
    assert isinstance(seen[-1], BatchFinished)
    assert seen[-1].reason == "interrupted"


async def test_with_senders_it_does_the_same(simulator: Simulator, target: ingestor.Target, state: Path) -> None:
    report = await ingestor.ingest(RECORDS, target, state=state, senders=1)
    assert report.counts == counted(created=30)


async def test_signal_handlers_and_variables_are_left_alone(
    target: ingestor.Target, state: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INGESTOR_BATCH", "another")
    monkeypatch.setenv("INGESTOR_STATE", "/nowhere")
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen: list[bool] = []

    def look(event: Event) -> None:
        seen.append(handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)])

    await ingestor.ingest(RECORDS, target, state=state, on_event=look, senders=0)

    assert all(seen)
    assert {row.batch for row in ingestor.results(state)} == {"default"}
    assert capfd.readouterr() == ("", "")


def test_an_iterable_is_not_kept(target: ingestor.Target, state: Path) -> None:
    ingestor.ingest_sync(RECORDS, target, state=state, senders=0, rate=1, time_budget=0.5)
    assert list(state.rglob("stdin-*")) == []


async def test_a_wrong_workspace_is_a_report_that_says_what_to_check(simulator: Simulator, state: Path) -> None:
    wrong = ingestor.aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace="another", auth="none")
    report = await ingestor.ingest(RECORDS, wrong, state=state, senders=0)
    assert report.exit_code is ingestor.ExitCode.HALTED
    assert "404" in str(report.reason)
    assert "--workspace" in str(report.advice)
    assert report.counts == counted()


async def test_a_state_directory_in_use_raises(target: ingestor.Target, state: Path) -> None:
    async def endless() -> AsyncIterator[dict[str, object]]:
        yield RECORDS[0]
        await asyncio.Event().wait()

    started = asyncio.Event()
    first = asyncio.create_task(
        ingestor.ingest(endless(), target, state=state, senders=0, on_event=lambda _: started.set())
    )
    await started.wait()
    with pytest.raises(ingestor.StateInUseError):
        await ingestor.ingest(RECORDS, target, state=state, senders=0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_credentials_that_cant_be_loaded_raise_after_the_end_is_logged(
    simulator: Simulator, state: Path, tmp_path: Path
) -> None:
    target = ingestor.aidp(
        endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY, oci_config=tmp_path / "nowhere"
    )
    with pytest.raises(ingestor.CredentialsError, match="nowhere"):
        await ingestor.ingest(RECORDS, target, state=state, senders=0)
    last = json.loads((state / "log.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("batch.finished", 4)


def test_a_file_that_is_no_journal_raises(target: ingestor.Target, state: Path) -> None:
    state.mkdir(mode=0o700)
    (state / "journal.db").write_bytes(b"something else" * 1000)
    with pytest.raises(ingestor.JournalError):
        ingestor.ingest_sync(RECORDS, target, state=state, senders=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0}, "rate: must be greater than 0, got 0"),
        ({"concurrency": 10_001}, "concurrency: must be 1 to 10000, got 10001"),
        ({"timeout": float("inf")}, "timeout: must be greater than 0, got inf"),
        ({"drain_timeout": -1}, "drain_timeout: must be at least 0, got -1"),
        ({"batch": "two\nlines"}, "batch: must be 1 to 100 printable characters"),
    ],
)
async def test_an_option_out_of_range_raises(
    target: ingestor.Target, state: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ingestor.UsageError) as caught:
        await ingestor.ingest(RECORDS, target, state=state, **options)  # type: ignore[arg-type]
    assert str(caught.value) == message


WRONG: dict[str, object] = {
    "speed": 9,
    "rate": "5",
    "timeout": "x",
    "concurrency": 2.5,
    "max_attempts": True,
    "drain_timeout": None,
    "batch": None,
    "stamp": "no",
    "wait_for_service": 1,
    "state": None,
    "log": 7,
    "rejects": "",
    "on_event": "print",
}


@pytest.mark.parametrize(("name", "value"), WRONG.items(), ids=WRONG)
def test_an_option_that_is_unknown_or_of_a_wrong_type_raises_before_anything_is_opened(
    target: ingestor.Target, state: Path, name: str, value: object
) -> None:
    given = {"state": state, name: value}
    with pytest.raises(ingestor.UsageError, match=f"^{name}: "):
        ingestor.ingest_sync(RECORDS, target, **given)  # type: ignore[arg-type]
    assert not state.exists()


@pytest.mark.parametrize("path", ["", "\0", b"state"])
async def test_a_state_directory_that_is_no_path_raises(target: ingestor.Target, path: str) -> None:
    with pytest.raises(ingestor.UsageError, match=r"^state: must be a path$"):
        await ingestor.ingest(RECORDS, target, state=path)


def test_a_target_or_records_of_a_wrong_type_raise(target: ingestor.Target, state: Path) -> None:
    with pytest.raises(ingestor.UsageError, match=r"^target: "):
        ingestor.ingest_sync(RECORDS, "http://h", state=state)  # type: ignore[arg-type]
    with pytest.raises(ingestor.UsageError, match=r"^records: "):
        ingestor.ingest_sync(7, target, state=state)  # type: ignore[arg-type]
    assert not state.exists()


@pytest.mark.parametrize("kind", [list, tuple])
async def test_a_list_of_json_texts_is_a_list_of_records(
    target: ingestor.Target, state: Path, kind: Callable[[list[str]], Records]
) -> None:
    report = await ingestor.ingest(kind(LINES), target, state=state, senders=0)
    assert report.counts == counted(created=30)


async def test_one_json_text_is_one_record(target: ingestor.Target, state: Path) -> None:
    report = await ingestor.ingest(f" {LINES[0]}", target, state=state, senders=0)
    assert report.counts == counted(created=1)


EXITS = """
import asyncio, gc, sys
import ingestor

def records():
    yield {"run_name": "a"}
    raise KINDS[sys.argv[2]]("enough")

async def stream():
    for record in records():
        yield record

KINDS = {"exit": SystemExit, "interrupt": KeyboardInterrupt}
target = ingestor.aidp(endpoint=sys.argv[1], platform_id=sys.argv[5], workspace=sys.argv[6], auth="none")
given = {"records": records, "stream": stream}[sys.argv[3]]()
try:
    if sys.argv[4] == "sync":
        ingestor.ingest_sync(given, target, senders=0)
    elif sys.argv[4] == "check":
        ingestor.check(given)
    else:
        asyncio.run(ingestor.ingest(given, target, senders=0))
except KINDS[sys.argv[2]] as error:
    print(error)
gc.collect()
"""


@pytest.mark.parametrize("call", ["sync", "async", "check"])
@pytest.mark.parametrize("given", ["records", "stream"])
@pytest.mark.parametrize("kind", ["exit", "interrupt"])
def test_an_iterable_that_ends_the_program_ends_the_batch_first(
    simulator: Simulator, tmp_path: Path, kind: str, given: str, call: str
) -> None:
    command = [sys.executable, "-c", EXITS, simulator.url, kind, given, call, PLATFORM_ID, WORKSPACE_KEY]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "enough\n", "")
    if call != "check":
        last = json.loads((tmp_path / ".ingestor" / "log.jsonl").read_text().splitlines()[-1])
        assert (last["event"], last["exit_code"]) == ("batch.finished", 75)


def test_an_interrupt_before_the_batch_begins_is_not_lost(
    simulator: Simulator, target: ingestor.Target, state: Path
) -> None:
    call = _Call(target, BatchOptions(state=state, senders=0), None)
    call.stop()
    report = asyncio.run(call.ingest(RECORDS))
    assert (report.exit_code, report.reason, simulator.statistics.requests) == (75, "interrupted", 0)


def test_a_service_that_never_answers_is_a_report(state: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    target = ingestor.mlflow(f"http://127.0.0.1:{port}")
    report = ingestor.ingest_sync(RECORDS, target, state=state, senders=0)
    assert report.exit_code == 4
    assert "refused" in str(report.reason)


def test_the_import_is_cheap() -> None:
    script = "import sys, ingestor; print(len([m for m in sys.modules if m.startswith('ingestor.')]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 0


_WAITING = frozenset({"os.mkdir", "os.scandir", "os.listdir", "fcntl.flock", "sqlite3.connect", "time.sleep"})
_blocked: list[tuple[str, int]] = []


def _note(event: str, _arguments: tuple[object, ...]) -> None:
    if event in _WAITING:
        _blocked.append((event, threading.get_ident()))


async def test_the_event_loop_does_not_wait_for_directories_and_the_journal(
    target: ingestor.Target, state: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "runs.jsonl").write_text("\n".join(LINES))
    sys.addaudithook(_note)
    server = ingestor.mlflow("http://127.0.0.1:9")
    _blocked.clear()
    report = await ingestor.ingest(folder, target, state=state, senders=0)
    await ingestor.ingest([], server, state=state, senders=0)
    with pytest.raises(ingestor.UsageError, match="no such batch"):
        await ingestor.reconcile(server, state=state, batch="other")
    assert report.counts == counted(created=30)
    assert {event for event, _ in _blocked} >= {"os.mkdir", "fcntl.flock", "sqlite3.connect"}
    assert [event for event, thread in _blocked if thread == threading.get_ident()] == []


async def test_the_limit_of_open_files_is_raised_for_the_connections_that_are_wanted(
    target: ingestor.Target, state: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
    try:
        await ingestor.ingest([], target, state=state, senders=0, concurrency=600)
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 600
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
