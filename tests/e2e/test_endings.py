"""However a command ends, its exit code is one of the documented ones, and no wait is silent or endless."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim, parse_lines, to_lines
from tests.e2e.proof import assert_each_is_one_run


def has_begun(pid: int) -> bool:
    """Return whether a command has taken its signals: it ignores SIGUSR2 as the last."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return bool(int(fields["SigIgn"], 16) >> (signal.SIGUSR2 - 1) & 1)


@contextmanager
def stuck_pipe() -> Iterator[int]:
    """Yield the writing end of a full pipe that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    try:
        yield writer
    finally:
        os.close(writer)
        os.close(reader)


async def test_a_log_without_a_reader_is_named_and_a_stop_ends_the_wait(program: Program, simulator: Simulator) -> None:
    wanted = list(records(5))
    command = ("run", *aim(simulator), program.write("runs.jsonl", wanted))
    os.mkfifo(program.folder / "fifo")
    running = await program.start(*command, "--log", "fifo", "--output", "json")
    await running.until_it_prints("The log fifo waits for a program that opens it to read")
    running.send(signal.SIGTERM)
    ended = await running.end()
    assert (ended.code, ended.summary["counts"]["created"]) == (75, 5)
    assert "nothing took its lines" in ended.summary["reason"]

    with stuck_pipe() as writer:
        running = await program.start(*command, "--log", "-", stdout=writer)
        await running.until_it_prints("The log standard output waits for its reader")
        running.send(signal.SIGTERM)
        assert (await running.end()).code == 75

    assert (await program.run(*command)).code == 0
    logged = [event["job_id"] for event in program.events("run.created")]
    assert sorted(logged) == sorted(str(it["job_id"]) for it in wanted), "the log has what the others lack"
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_a_stuck_standard_error_does_not_hold_a_batch_or_its_end_up(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(5))
    with stuck_pipe() as writer:
        running = await program.start("run", *aim(simulator), "--progress", "on", "-", stderr=writer)
        await running.write(to_lines(wanted))
        await running.until(lambda: simulator.statistics.run_count == 5)
        running.send(signal.SIGHUP)
        ended = await running.leave_input_open_and_end()
    assert ended.code == 75
    assert "stopped by SIGHUP after" in ended.stdout


async def test_a_summary_that_nobody_reads_is_named(program: Program, simulator: Simulator) -> None:
    with stuck_pipe() as writer:
        running = await program.start("run", *aim(simulator), program.write("runs.jsonl", records(2)), stdout=writer)
        await running.until_it_prints("standard output waits for its reader")
        running.send(signal.SIGTERM)
        assert (await running.end()).code == 0


IGNORING = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
sys.argv[:] = ["ingestor", *sys.argv[1:]]
from ingestor.cli.main import main
main()
"""


async def test_under_nohup_the_batch_goes_on_and_signals_at_the_end_change_no_code(
    program: Program, simulator: Simulator
) -> None:
    running = await program.start(
        "run", *aim(simulator), "--output", "json", "-", command=(sys.executable, "-c", IGNORING)
    )
    await running.write(to_lines(records(5)))
    await running.until(lambda: simulator.statistics.run_count == 5)
    running.send(signal.SIGHUP)
    await running.write(to_lines(records(8)))
    await running.until(lambda: simulator.statistics.run_count == 8)
    while not await running.is_over(0.001):
        running.send(signal.SIGTERM)
    ended = await running.end()
    assert (ended.code, ended.summary["counts"]["created"]) == (75, 8)
    assert ended.summary["reason"] == "stopped by SIGTERM"


async def test_the_log_is_renamed_by_size_and_opened_anew_on_a_signal(program: Program, simulator: Simulator) -> None:
    wanted = list(records(160))
    log = program.folder / "log"
    command = ("run", *aim(simulator), "--log", "log", "--log-max-bytes", "10000", "--log-keep", "50", "-")
    running = await program.start(*command)
    await running.write(to_lines(wanted[:80]))
    await running.until(lambda: simulator.statistics.run_count == 80 and Path(f"{log}.2").exists())
    log.rename(program.folder / "taken")
    running.send(signal.SIGUSR2)
    await running.until(log.exists)
    assert (await running.end(to_lines(wanted[80:]))).code == 0

    kept = sorted(program.folder.glob("log.*"), key=lambda it: int(it.suffix[1:]), reverse=True)
    files = [*kept, log, program.folder / "taken"]
    events = [event for it in files for event in parse_lines(it.read_text())]
    assert max(it.stat().st_size for it in files) <= 10_000
    created = sorted(event["job_id"] for event in events if event["event"] == "run.created")
    assert created == sorted(str(it["job_id"]) for it in wanted), "each is logged once"
    assert [event["event"] for event in events].count("batch.finished") == 1


@pytest.mark.parametrize("target", ["-", "fifo", "/dev/null"])
async def test_a_log_that_can_not_be_renamed_by_size_is_refused(
    program: Program, simulator: Simulator, target: str
) -> None:
    os.mkfifo(program.folder / "fifo")
    ended = await program.run("run", *aim(simulator), "--log", target, "--log-max-bytes", "10000", stdin=b"{}")
    assert ended.code == 2
    assert "is not a regular file, so it can't be renamed" in ended.stderr


async def test_a_log_on_a_full_disk_still_leaves_a_summary(program: Program, simulator: Simulator) -> None:
    ended = await program.ingest(*aim(simulator), "--log", "/dev/full", stdin=to_lines(records(3)))
    assert ended.code == ended.summary["exit_code"] == 4
    assert "The log /dev/full can't be written: No space left on device" in ended.summary["halted"]["reason"]


async def test_a_summary_that_standard_output_can_not_take_is_on_standard_error(
    program: Program, simulator: Simulator
) -> None:
    command = ("run", *aim(simulator), program.write("runs.jsonl", records(2)))
    full = os.open("/dev/full", os.O_WRONLY)
    running = await program.start(*command, stdout=full)
    os.close(full)
    ended = await running.end()
    assert ended.code == 0
    assert "the result can't be written: standard output: No space left on device" in ended.stderr
    assert "created               2" in ended.stderr

    reader, closed = os.pipe()
    os.close(reader)
    running = await program.start(*command, "--log", "-", "--output", "json", stdout=closed)
    os.close(closed)
    ended = await running.end()
    assert ended.code == 4
    assert "The log standard output can't be written: Broken pipe" in ended.stderr


@pytest.mark.parametrize(
    ("words", "code"), [(("results",), 0), (("status",), 0), (("config",), 0), (("check", "bad.jsonl"), 3)], ids=str
)
async def test_a_command_that_only_reads_ends_well_if_its_reader_has_enough(
    program: Program, simulator: Simulator, words: tuple[str, ...], code: int
) -> None:
    await program.ingest(*aim(simulator), program.write("runs.jsonl", records(2)))
    program.write("bad.jsonl", b'{"bad": 1}\n' * 3)
    reader, closed = os.pipe()
    os.close(reader)
    running = await program.start(*words, stdout=closed, env={"PYTHONUNBUFFERED": "1"})
    os.close(closed)
    ended = await running.end()
    assert (ended.code, "Broken pipe" in ended.stderr) == (code, False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_command_that_only_reads_is_interrupted_although_nobody_takes_its_output(
    program: Program, number: int
) -> None:
    program.write("bad.jsonl", b'{"bad": 1}\n')
    with stuck_pipe() as writer:
        running = await program.start("check", "bad.jsonl", "-", stdout=writer, env={"PYTHONUNBUFFERED": "1"})
        await running.write(b'{"bad": 2}\n')
        await running.until(lambda: has_begun(running.pid))
        while not await running.is_over(0.1):
            running.send(number)
        assert (await running.end()).code == 75


WITHOUT_THREADS = """
import resource, sys, threading
from pathlib import Path
import ingestor.app.run, ingestor.cli.commands
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
threading.stack_size(256 * 1024 * 1024)
resource.setrlimit(resource.RLIMIT_AS, (size + 192 * 1024 * 1024,) * 2)
from ingestor.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
"""No user of this machine needs to be another one: as under a pids limit, no thread can be started."""

FEW_FILES = """
import resource, sys
import ingestor.app.run, ingestor.cli.commands
resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))
from ingestor.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    "words", [("run", "runs.jsonl"), ("reconcile",), ("check", "runs.jsonl")], ids=lambda it: it[0]
)
async def test_threads_that_can_not_be_started_are_named_at_once(
    program: Program, simulator: Simulator, words: tuple[str, ...]
) -> None:
    await program.ingest(*aim(simulator), program.write("runs.jsonl", records(2)))
    command = (sys.executable, "-c", WITHOUT_THREADS)
    ended = await program.spawn(words[0], *aim(simulator), *words[1:], command=command)
    assert (ended.code, ended.stdout) == (4, "")
    assert "No further thread or process can be started: the limit of this user (ulimit -u)" in ended.stderr


async def test_a_low_limit_of_open_files_is_named_at_once(program: Program, simulator: Simulator) -> None:
    source = program.write("runs.jsonl", records(2))
    ended = await program.spawn("run", *aim(simulator), source, command=(sys.executable, "-c", FEW_FILES))
    assert (ended.code, ended.stdout, simulator.statistics.requests) == (4, "", 0)
    assert "The limit of open files (ulimit -n) is 12, and at least" in ended.stderr


ELSEWHERE = """
import os, sys
del os.splice, os.fdatasync
from ingestor.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


async def test_a_system_without_splice_and_fdatasync_is_supported(program: Program, simulator: Simulator) -> None:
    wanted = list(records(5))
    ended = await program.spawn(
        "run", *aim(simulator), "-", stdin=to_lines(wanted), command=(sys.executable, "-c", ELSEWHERE)
    )
    assert ended.code == 0
    assert program.spooled() == 0
    assert_each_is_one_run(simulator, wanted, program.rows())
