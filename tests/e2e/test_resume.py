"""What a stopped or killed run left is finished by `resume`, or by the next `run`."""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from ingestor.simulator.options import PLATFORM_ID, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import COMMAND, Program, aim, at, to_lines
from tests.e2e.proof import assert_each_is_one_run

SLOWLY = ("--rate", "100", "--output", "json")
GOOD = b'{"job_id": "a", "run_name": "a"}\n'


@pytest.mark.parametrize("again", [("resume",), ("run", "empty.jsonl")], ids=["resume", "the next run"])
async def test_the_standard_input_of_a_killed_process_is_finished(
    program: Program, simulator: Simulator, again: tuple[str, ...]
) -> None:
    wanted = list(records(300))
    program.write("empty.jsonl", b"")
    running = await program.start("run", *aim(simulator), *SLOWLY)
    await running.write(to_lines(wanted))
    await running.until(lambda: simulator.statistics.run_count >= 20 and program.spooled() == len(to_lines(wanted)))
    await running.die()
    assert simulator.statistics.run_count < 300

    done = await program.run(*again, *aim(simulator), "--output", "json")
    assert done.code == 0, done
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert program.spooled() == 0
    assert {row["source"] for row in program.rows()} == {"-"}
    assert {row["line"] for row in program.rows()} == set(range(1, 301))


async def test_the_standard_input_of_a_stopped_process_is_finished(program: Program, simulator: Simulator) -> None:
    wanted = list(records(300))
    running = await program.start("run", *aim(simulator), *SLOWLY)
    await running.write(to_lines(wanted))
    await running.until(lambda: simulator.statistics.run_count >= 20 and program.spooled() == len(to_lines(wanted)))
    running.send(15)
    assert (await running.end()).code == 75

    ended = await program.run("resume", *aim(simulator))
    assert (ended.code, "stopped before the input ended" in ended.stderr) == (0, True)
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_files_whose_jobs_have_no_known_outcome_are_read_again(program: Program) -> None:
    wanted = list(records(200))
    async with Simulator(SimulatorOptions(latency=0.02)) as simulator:
        running = await program.start("run", *aim(simulator), *SLOWLY, program.write("runs.jsonl", wanted))
        await running.until(lambda: simulator.statistics.run_count >= 20)
        await running.die()
        assert (await program.run("resume", *aim(simulator))).code == 0
        assert_each_is_one_run(simulator, wanted, program.rows())


async def test_with_nothing_left_there_is_nothing_to_resume(program: Program, simulator: Simulator) -> None:
    assert (await program.run("run", *aim(simulator), stdin=GOOD)).code == 0
    ended = await program.run("resume", *aim(simulator))
    assert (ended.code, ended.stdout) == (0, "Nothing is left to resume of batch default in .ingestor.\n")


async def test_with_nothing_left_a_program_gets_json_and_a_quiet_command_prints_nothing(
    program: Program, simulator: Simulator
) -> None:
    first = await program.run("run", "--output", "json", *aim(simulator), stdin=GOOD)
    ended = await program.run("resume", "--output", "json", *aim(simulator))
    assert (ended.code, ended.summary["exit_code"], ended.summary["left"]) == (0, 0, 0)
    assert ended.summary["next"] == ["Nothing is left to resume of batch default in .ingestor."]
    assert ended.summary.keys() == first.summary.keys()
    ended = await program.run("resume", "--quiet", *aim(simulator))
    assert (ended.code, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
async def test_files_that_a_run_did_not_reach_are_read(
    program: Program, simulator: Simulator, way: signal.Signals
) -> None:
    wanted = list(records(900))
    names = [program.write(f"runs-{part}.jsonl", wanted[part::3]) for part in range(3)]
    running = await program.start("run", *aim(simulator), *SLOWLY, *names)
    await running.until(lambda: simulator.statistics.run_count >= 20)
    running.send(way)
    await running.end()
    resuming = await program.start("resume", *aim(simulator), *SLOWLY)
    await resuming.until(lambda: simulator.statistics.run_count >= 350)
    resuming.send(way)
    await resuming.end()
    assert simulator.statistics.run_count < 900

    assert (await program.run("resume", *aim(simulator))).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())
    ended = await program.run("resume", *aim(simulator))
    assert (ended.code, ended.stdout) == (0, "Nothing is left to resume of batch default in .ingestor.\n")


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
async def test_reading_a_file_continues_from_any_folder_and_with_any_name(
    program: Program, simulator: Simulator, way: signal.Signals
) -> None:
    wanted = list(records(400))
    (program.folder / "monday").mkdir()
    (program.folder / "tuesday").mkdir()
    here, there = Program(program.folder / "monday"), Program(program.folder / "tuesday")
    state = ("--state", str(program.folder / ".ingestor"))
    name = os.fsdecode(b"caf\xe9.jsonl")
    running = await here.start("run", *aim(simulator), *SLOWLY, *state, here.write(name, wanted))
    await running.until(lambda: simulator.statistics.run_count >= 20)
    running.send(way)
    await running.end()
    there.write(name, records(410))
    resuming = await there.start("resume", *aim(simulator), *SLOWLY, *state)
    await resuming.until(lambda: simulator.statistics.run_count >= 50)
    resuming.send(way)
    await resuming.end()

    assert (await there.run("resume", *aim(simulator), *state)).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert {row["source"] for row in program.rows()} == {"caf\\udce9.jsonl"}


@pytest.mark.parametrize(
    ("name", "given"), [("fifo", "cat runs.jsonl > fifo & exec"), ("/dev/stdin", "exec < runs.jsonl; exec")]
)
async def test_a_pipe_or_a_descriptor_that_is_not_kept_is_left_to_run(
    program: Program, simulator: Simulator, name: str, given: str
) -> None:
    program.write("runs.jsonl", records(300))
    os.mkfifo(program.folder / "fifo")
    shell = ("sh", "-c", f'{given} "$0" "$@"', *COMMAND)
    running = await program.start("run", *aim(simulator), *SLOWLY, name, command=shell)
    await running.until(lambda: simulator.statistics.run_count >= 20)
    running.send(signal.SIGTERM)
    assert (await running.end()).code == 75
    ended = await program.run("resume", *aim(simulator))
    assert (ended.code, f"did not reach the end of {name}" in ended.stdout) == (75, True)


async def test_standard_input_that_is_not_kept_is_left_to_run(program: Program, simulator: Simulator) -> None:
    running = await program.start("run", *aim(simulator), "--no-spool")
    await running.write(GOOD)
    await running.until(lambda: simulator.statistics.run_count == 1)
    running.send(signal.SIGTERM)
    assert (await running.end()).code == 75
    ended = await program.run("resume", *aim(simulator))
    assert ended.code == 75
    assert ended.stdout == (
        "A run of batch default did not reach the end of standard input, and the rest is not kept: the same "
        "`ingestor run` command reads the rest, or drops it if no input comes.\n"
    )


async def test_a_run_over_another_file_hides_no_unread_file(program: Program, simulator: Simulator) -> None:
    wanted = list(records(300))
    running = await program.start("run", *aim(simulator), *SLOWLY, program.write("a.jsonl", wanted[:250]))
    await running.until(lambda: simulator.statistics.run_count >= 20)
    running.send(signal.SIGTERM)
    assert (await running.end()).code == 75
    assert (await program.run("run", *aim(simulator), program.write("b.jsonl", wanted[250:]))).code == 0

    assert (await program.run("resume", *aim(simulator))).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_the_unread_rest_of_a_pipe_is_reported_when_the_other_files_are_done(
    program: Program, simulator: Simulator
) -> None:
    files = (program.write("a.jsonl", list(records(40))), program.write("b.jsonl", [{"job_id": "b"}]))
    running = await program.start("run", *aim(simulator), "--no-spool", files[0], "-", files[1])
    await running.until(lambda: simulator.statistics.run_count == 40)
    await running.die()

    for _ in range(2):
        ended = await program.run("resume", *aim(simulator))
        assert (ended.code, "did not reach the end of standard input" in ended.stdout + ended.stderr) == (75, True)
        assert simulator.statistics.run_count == 41
    assert (await program.run("run", *aim(simulator), "--no-spool", stdin=GOOD)).code == 0
    assert (await program.run("resume", *aim(simulator))).code == 0


async def test_a_missing_file_is_named_and_an_empty_one_gives_it_up(program: Program, simulator: Simulator) -> None:
    running = await program.start("run", *aim(simulator), *SLOWLY, program.write("a.jsonl", list(records(300))))
    await running.until(lambda: simulator.statistics.run_count >= 20)
    running.send(signal.SIGTERM)
    assert (await running.end()).code == 75
    (program.folder / "a.jsonl").unlink()
    ended = await program.run("resume", *aim(simulator))
    assert (ended.code, "a.jsonl: there is no such file" in ended.stderr, "put it back" in ended.stderr) == (
        2,
        True,
        True,
    )

    program.write("a.jsonl", b"")
    assert (await program.run("resume", *aim(simulator))).code == 0
    assert "Nothing is left" in (await program.run("resume", *aim(simulator))).stdout


def vanish(path: Path) -> None:
    """Remove the file; another one matches its name, read as a glob."""
    path.unlink()
    path.with_name("a1.jsonl").write_bytes(GOOD)


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_a_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("change", [vanish, become_a_folder, become_a_fifo])
async def test_a_path_that_is_no_longer_a_file_is_named_at_any_time(
    program: Program, simulator: Simulator, change: Callable[[Path], None]
) -> None:
    running = await program.start("run", *aim(simulator), *SLOWLY, program.write("a[1].jsonl", records(300)))
    await running.until(lambda: simulator.statistics.run_count >= 20)
    running.send(signal.SIGTERM)
    assert (await running.end()).code == 75
    change(program.folder / "a[1].jsonl")
    for _ in range(2):
        ended = await program.run("resume", *aim(simulator))
        assert (ended.code, "a[1].jsonl: " in ended.stderr, "put it back" in ended.stderr) == (2, True, True)
        assert (await program.run("run", *aim(simulator), program.write("b.jsonl", GOOD))).code == 0


async def test_two_names_of_one_file_are_done_when_it_is_read(program: Program, simulator: Simulator) -> None:
    program.write("a.jsonl", wanted := list(records(200)))
    (program.folder / "same.jsonl").hardlink_to(program.folder / "a.jsonl")
    for name in ("a.jsonl", "same.jsonl"):
        before = simulator.statistics.run_count
        running = await program.start("run", *aim(simulator), *SLOWLY, name)
        await running.until(lambda before=before: simulator.statistics.run_count >= before + 20)  # type: ignore[misc]
        running.send(signal.SIGTERM)
        assert (await running.end()).code == 75
    assert (await program.run("resume", *aim(simulator))).code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert "Nothing is left" in (await program.run("resume", *aim(simulator))).stdout


@pytest.mark.parametrize("is_piped", [True, False], ids=["a pipe", "a file"])
async def test_a_record_without_outcome_that_no_source_has_is_reported_until_it_is_reconciled(
    program: Program, is_piped: bool
) -> None:
    name = "-" if is_piped else program.write("a.jsonl", GOOD)
    async with Simulator(SimulatorOptions(latency=60)) as silent:
        running = await program.start("run", *aim(silent), "--no-spool", name)
        await running.write(GOOD if is_piped else b"")
        await running.until(lambda: silent.statistics.requests == 1)
        await running.die()
    program.write("a.jsonl", b"")
    async with Simulator() as simulator:
        assert (await program.run("run", *aim(simulator), "--no-spool", name)).code == 0
        for _ in range(2):
            ended = await program.run("resume", *aim(simulator))
            words = f"from {'standard input' if is_piped else name} have no known outcome"
            assert (ended.code, words in ended.stdout + ended.stderr) == (3, True)
        with closing(sqlite3.connect(program.folder / ".ingestor" / "journal.db")) as journal, journal:
            journal.execute("UPDATE job SET first_sent_at = first_sent_at - 90000")
        assert (await program.run("reconcile", *aim(simulator), "--timeout", "0.1")).code == 0
        assert (await program.run("resume", *aim(simulator))).code == 0


async def test_a_halted_run_does_not_count_as_finished(program: Program) -> None:
    async with Simulator(SimulatorOptions()) as simulator:
        command = ("run", *aim(simulator, workspace="another"), program.write("runs.jsonl", records(50)))
        assert (await program.run(*command)).code == 4
        ended = await program.run("resume", *aim(simulator, workspace="another"))
    assert ended.code == 4, "it reads the file again"


async def test_other_batches_that_have_something_to_resume_are_named(program: Program, simulator: Simulator) -> None:
    running = await program.start("run", *aim(simulator), *SLOWLY, "--batch", "nightly")
    await running.write(to_lines(records(300)))
    await running.until(lambda: simulator.statistics.run_count >= 20)
    await running.die()
    assert (await program.run("run", *aim(simulator), "--batch", "done", stdin=GOOD)).code == 0

    ended = await program.run("resume", *aim(simulator))
    assert ended.code == 0
    assert ended.stdout.splitlines() == [
        "Nothing is left to resume of batch default in .ingestor.",
        "Batch nightly has something to resume: --batch nightly",
    ]
    assert (await program.run("resume", *aim(simulator), "--batch", "nightly")).code == 0


@pytest.mark.parametrize("command", ["resume", "reconcile"])
async def test_the_name_of_a_batch_that_does_not_exist_is_wrong(
    program: Program, simulator: Simulator, command: str
) -> None:
    assert (await program.run("run", *aim(simulator), "--batch", "nightly", stdin=GOOD)).code == 0
    ended = await program.run(command, *aim(simulator), "--batch", "nightyl")
    assert (ended.code, ended.stdout) == (2, "")
    assert ended.stderr == "ingestor: Batch nightyl: the journal in .ingestor has no such batch; it has nightly.\n"
    assert (await program.run("resume", *aim(simulator), "--batch", "nightly")).code == 0


async def test_a_named_batch_without_a_journal_has_nothing_to_resume(program: Program, simulator: Simulator) -> None:
    assert (await program.run("resume", *aim(simulator), "--batch", "nightly")).code == 0


async def test_standard_input_that_is_kept_for_another_target_is_named_until_it_is_finished(
    program: Program, simulator: Simulator
) -> None:
    wrong = aim(simulator, workspace="another")
    assert (await program.run("run", *wrong, stdin=GOOD)).code == 4
    words = f"warning: {len(GOOD)} bytes of standard input are kept for batch default, to {PLATFORM_ID} another:"
    for command in ("run", "resume"):
        ended = await program.run(command, *aim(simulator), stdin=GOOD)
        assert (ended.code, words in ended.stderr) == (0, True), ended
    assert words not in (await program.run("run", *aim(simulator), program.write("a.jsonl", GOOD))).stderr
    async with Simulator(SimulatorOptions(workspace_key="another")) as other:
        ended = await program.run("resume", *aim(other, workspace="another"))
        assert (ended.code, words in ended.stderr) == (0, False)
    assert words not in (await program.run("resume", *aim(simulator))).stderr


LIBRARY = """
import os, signal, sys
import ingestor

def records():
    for number in range(1000):
        yield {"job_id": str(number), "run_name": str(number)}
    os.kill(os.getpid(), signal.SIGKILL)

target = ingestor.aidp(endpoint=sys.argv[2], platform_id=sys.argv[4], workspace=sys.argv[6], auth="none")
ingestor.ingest_sync(records(), target, senders=0)
"""


async def test_the_records_of_a_killed_program_are_left_to_the_program(program: Program, simulator: Simulator) -> None:
    ended = await program.spawn(*at(simulator), command=(sys.executable, "-c", LIBRARY))
    assert ended.code == -9
    ended = await program.run("resume", *aim(simulator))
    said = ended.stdout + ended.stderr
    assert (ended.code, "must pass the same records again" in said, "`ingestor run`" in said) == (75, True, False)


async def test_a_process_substitution_is_left_to_the_shell(program: Program, simulator: Simulator) -> None:
    program.write("runs.jsonl", records(300))
    shell = ("bash", "-c", 'exec "$0" "$@" <(cat runs.jsonl)', *COMMAND)
    running = await program.start("run", *aim(simulator), *SLOWLY, command=shell)
    await running.until(lambda: simulator.statistics.run_count >= 20)
    running.send(signal.SIGTERM)
    assert (await running.end()).code == 75
    ended = await program.run("resume", *aim(simulator))
    assert (ended.code, "with the same process substitution" in ended.stdout + ended.stderr) == (75, True)


async def test_without_a_journal_there_is_nothing_to_resume(program: Program, simulator: Simulator) -> None:
    assert (await program.run("resume", *aim(simulator))).code == 0


async def test_without_a_spool_nothing_is_kept(program: Program, simulator: Simulator) -> None:
    running = await program.start("run", *aim(simulator), "--no-spool")
    await running.write(GOOD)
    await running.until(lambda: simulator.statistics.run_count == 1)
    assert program.spooled() == 0
    assert (await running.end(b"\n")).code == 0


@pytest.mark.parametrize("again", ["resume", "run"])
async def test_a_record_that_the_service_refused_is_sent_again_without_its_source(program: Program, again: str) -> None:
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"404"}))) as simulator:
        text = GOOD + b'{"job_id": "b", "experiment_id": "404"}\n'
        assert (await program.run("run", *aim(simulator), stdin=text)).code == 3
        assert program.spooled() == 0, "the journal keeps the text"
    async with Simulator() as fixed:
        assert (await program.run(again, *aim(fixed))).code == 0
        assert [row["outcome"] for row in program.rows()] == ["created", "created"]
        assert fixed.statistics.requests == 1
        assert "Nothing is left" in (await program.run("resume", *aim(fixed))).stdout
