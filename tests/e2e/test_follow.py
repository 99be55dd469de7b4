"""`ingestor run --follow`: files, pipes and standard input, as processes, from their start to their end."""

import asyncio
import os
import time
from pathlib import Path
from signal import SIGTERM

import pytest

from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, Running, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run

FOLLOW = ("run", "--follow", "--output", "json")


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


async def stopped(running: Running) -> dict[str, object]:
    """Stop a process as its scheduler does; return its summary."""
    running.send(SIGTERM)
    ended = await running.end()
    assert ended.code == 0, ended.stderr
    return ended.summary


async def test_a_new_line_and_a_new_file_are_sent_within_some_seconds(program: Program, simulator: Simulator) -> None:
    wanted = list(records(30))
    (program.folder / "logs").mkdir()
    running = await program.start(*FOLLOW, *aim(simulator), "logs/*.log")
    for number, record in enumerate(wanted[:3]):
        await running.until(lambda: simulator.statistics.run_count == number)  # noqa: B023 - called in this turn only
        began = time.monotonic()
        append(program.folder / "logs" / f"{number % 2}.log", to_lines([record]))
        await running.until(lambda: simulator.statistics.run_count == number + 1)  # noqa: B023 - as above
        if number:
            assert time.monotonic() - began < 5
    append(program.folder / "logs" / "0.log", to_lines(wanted[3:]))
    await running.until(lambda: simulator.statistics.run_count == 30)
    await stopped(running)
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_no_notification_of_the_file_system_is_asked_for_so_none_can_be_missing_or_exhausted(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(4))
    spool = program.folder / "spool"
    spool.mkdir()
    append(spool / "a.jsonl", to_lines(wanted[:1]))
    running = await program.start(*FOLLOW, *aim(simulator), "spool", "app.log*")
    await running.until(lambda: simulator.statistics.run_count == 1)
    append(spool / "a.jsonl", to_lines(wanted[1:2]))
    append(spool / "b.jsonl", to_lines(wanted[2:3]))
    append(program.folder / "app.log", to_lines(wanted[3:]))
    await running.until(lambda: simulator.statistics.run_count == 4)
    opened = open_files(running.pid)
    await stopped(running)
    assert any("a.jsonl" in it for it in opened)
    assert [it for it in opened if "notify" in it] == []
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_the_next_execution_continues_at_the_positions_and_reads_nothing_again(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(40))
    append(program.folder / "app.log", to_lines(wanted[:20]))
    running = await program.start(*FOLLOW, *aim(simulator), "app.log*")
    await running.until(lambda: simulator.statistics.run_count == 20)
    await stopped(running)
    (program.folder / "app.log").rename(program.folder / "app.log.1")
    append(program.folder / "app.log.1", to_lines(wanted[20:30]))
    append(program.folder / "app.log", to_lines(wanted[30:]))
    running = await program.start(*FOLLOW, *aim(simulator), "app.log*")
    await running.until(lambda: simulator.statistics.run_count == 40)
    summary = await stopped(running)
    assert summary["counts"]["already_done"] == 0  # type: ignore[index]
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_resume_finishes_what_a_killed_execution_left_of_followed_files(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(60))
    append(program.folder / "app.log", to_lines(wanted[:20]))
    running = await program.start(*FOLLOW, *aim(simulator), "app.log")
    await running.until(lambda: simulator.statistics.run_count == 20)
    await running.die()
    append(program.folder / "app.log", to_lines(wanted[20:40]))
    (program.folder / "app.log").rename(program.folder / "old.log")
    append(program.folder / "old.log", to_lines(wanted[40:]))
    ended = await program.run("resume", "--output", "json", *aim(simulator))
    assert ended.code == 0
    assert ended.summary["counts"]["created"] >= 40, "some of the first 20 may have lost their outcomes"
    assert_each_is_one_run(simulator, wanted, program.rows())
    again = await program.run("resume", *aim(simulator))
    assert (again.code, "Nothing is left" in again.stdout) == (0, True)


async def test_a_rejected_line_is_reported_once_also_where_it_is_read_again(
    program: Program, simulator: Simulator
) -> None:
    log = program.folder / "app.log"
    append(log, to_lines(records(2)) + b"no record\n")
    for _ in range(3):
        running = await program.start(*FOLLOW, *aim(simulator), "app.log")
        await running.until((program.folder / ".ingestor" / "rejects.jsonl").exists)
        await running.until(lambda: program.rejects() != [])
        await running.die()
        content = log.read_bytes()
        log.unlink()
        log.write_bytes(content)  # another file with the same content
    assert [(it["line"], it["record"]) for it in program.rejects()] == [(3, "no record")]


async def test_a_pipe_is_read_across_its_writers_and_half_a_line_of_one_that_died_spoils_no_other(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(40))
    pipe = program.folder / "records.fifo"
    os.mkfifo(pipe)
    running = await program.start(*FOLLOW, *aim(simulator), "records.fifo")

    async def write(data: bytes) -> None:
        await asyncio.to_thread(pipe.write_bytes, data)

    for start in (0, 10, 20):
        await write(to_lines(wanted[start : start + 10]))
        await running.until(lambda: simulator.statistics.run_count == start + 10)  # noqa: B023 - called in this turn only
    await write(b'{"job_id":"hal')
    await running.until((program.folder / ".ingestor" / "rejects.jsonl").exists)
    halves = [wanted[30:40:2], wanted[31:40:2]]
    await asyncio.gather(*(write(to_lines(half)) for half in halves))
    await running.until(lambda: simulator.statistics.run_count == 40)

    used = processor_seconds(running.pid)
    await asyncio.sleep(1.0)  # nobody writes meanwhile
    assert processor_seconds(running.pid) - used < 0.3

    running.send(SIGTERM)
    ended = await running.end()
    assert ended.code == 3
    assert [it["record"] for it in program.rejects()] == ['{"job_id":"hal']
    assert_each_is_one_run(simulator, wanted, program.rows())


def open_files(pid: int) -> list[str]:
    return [str(it.readlink()) for it in Path(f"/proc/{pid}/fd").iterdir() if it.is_symlink()]


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_standard_input_is_read_until_it_is_closed_next_to_a_file(program: Program, simulator: Simulator) -> None:
    wanted = list(records(30))
    append(program.folder / "app.log", to_lines(wanted[:10]))
    running = await program.start(*FOLLOW, *aim(simulator), "-", "app.log")
    await running.write(to_lines(wanted[10:20]))
    await running.until(lambda: simulator.statistics.run_count == 20)
    append(program.folder / "app.log", to_lines(wanted[20:]))
    await running.until(lambda: simulator.statistics.run_count == 30)
    await stopped(running)
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_standard_input_alone_ends_the_batch_when_it_is_closed(program: Program, simulator: Simulator) -> None:
    ended = await program.spawn(*FOLLOW, *aim(simulator), stdin=to_lines(records(10)))
    assert (ended.code, ended.summary["counts"]["created"]) == (0, 10)


async def test_what_is_in_an_open_standard_input_is_read_after_the_first_signal(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(20))
    running = await program.start(*FOLLOW, *aim(simulator), "-")
    await running.write(to_lines(wanted[:10]))
    await running.until(lambda: simulator.statistics.run_count == 10)
    await running.write(to_lines(wanted[10:]).rstrip(b"\n"))
    running.send(SIGTERM)
    ended = await running.leave_input_open_and_end()
    assert (ended.code, program.spooled()) == (0, 0)
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_a_file_that_the_program_writes_is_no_source(program: Program, simulator: Simulator) -> None:
    ended = await program.run(*FOLLOW, *aim(simulator), ".ingestor/log.jsonl")
    assert ended.code == 2
    assert "this program writes it (--state)" in ended.stderr or "this program writes it (--log)" in ended.stderr


@pytest.mark.parametrize("is_killed", [False, True], ids=["running", "killed before"])
async def test_finished_files_are_deleted_and_others_stay(
    program: Program, simulator: Simulator, is_killed: bool
) -> None:
    wanted = list(records(9))
    spool = program.folder / "spool"
    (spool / "deep").mkdir(parents=True)
    outside = program.folder / "outside.jsonl"
    outside.write_bytes(to_lines(wanted[6:8]))
    (spool / "good.jsonl").write_bytes(to_lines(wanted[:3]))
    (spool / "deep" / "good.jsonl").write_bytes(to_lines(wanted[3:6]))
    (spool / "bad.jsonl").write_bytes(to_lines(wanted[8:]) + b"no record\n")
    (spool / "link.jsonl").symlink_to(outside)
    delete = (*FOLLOW, "--on-done", "delete", "--on-done-age", "0", *aim(simulator), "spool")
    if is_killed:
        running = await program.start(*delete[:3], *FOLLOW[3:], *aim(simulator), "spool")
        await running.until(lambda: simulator.statistics.run_count == 9)
        await running.die()
    running = await program.start(*delete)
    await running.until(lambda: not (spool / "good.jsonl").exists() and not (spool / "deep" / "good.jsonl").exists())
    await running.until_it_prints("bad.jsonl: stays")
    running.send(SIGTERM)
    await running.end()
    assert sorted(it.name for it in spool.rglob("*.jsonl")) == ["bad.jsonl", "link.jsonl"]
    assert outside.exists()
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_finished_files_are_moved_to_the_same_place_elsewhere_and_not_read_there(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(9))
    spool = program.folder / "spool"
    (spool / "deep").mkdir(parents=True)
    (spool / "deep" / "a.jsonl").write_bytes(to_lines(wanted[:5]))
    (spool / "done").mkdir()
    (spool / "done" / "b.jsonl").write_bytes(b"there already")
    (spool / "b.jsonl").write_bytes(to_lines(wanted[5:]) + b"no record\n")
    move = (*FOLLOW, "--on-done", "move:spool/done", "--on-done-age", "0", *aim(simulator), "spool")
    running = await program.start(*move)
    await running.until(lambda: not (spool / "deep" / "a.jsonl").exists() and not (spool / "b.jsonl").exists())
    (spool / "conflict.jsonl").write_bytes(to_lines([{**wanted[0], "run_name": "of another record"}]))
    await running.until(lambda: not (spool / "conflict.jsonl").exists())
    running.send(SIGTERM)
    ended = await running.end()
    assert ended.code == 3
    assert (spool / "done" / "deep" / "a.jsonl").read_bytes() == to_lines(wanted[:5])
    assert (spool / "done" / "b.jsonl").read_bytes() == b"there already"
    assert (spool / "done" / "b.jsonl.2").read_bytes() == to_lines(wanted[5:]) + b"no record\n"
    assert len(program.rejects()) == 2
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_a_target_directory_that_can_not_be_written_stops_nothing(program: Program, simulator: Simulator) -> None:
    wanted = list(records(4))
    (program.folder / "no-folder").write_text("a file")
    (program.folder / "spool").mkdir()
    (program.folder / "spool" / "a.jsonl").write_bytes(to_lines(wanted[:2]))
    move = (*FOLLOW, "--on-done", "move:no-folder", "--on-done-age", "0", *aim(simulator), "spool")
    running = await program.start(*move)
    await running.until_it_prints("a.jsonl: stays")
    (program.folder / "spool" / "b.jsonl").write_bytes(to_lines(wanted[2:]))
    await running.until(lambda: simulator.statistics.run_count == 4)
    await stopped(running)
    assert (program.folder / "spool" / "a.jsonl").exists()


async def test_sources_that_mean_no_file_yet_are_named_once(program: Program, simulator: Simulator) -> None:
    (program.folder / "empty").mkdir()
    append(program.folder / "app.log", to_lines(records(3)))
    sources = ("nothing/*.jsonl", "empty", "missing.log", "app.log*")
    running = await program.start("run", "--follow", "--quiet", *aim(simulator), *sources)
    await running.until(lambda: simulator.statistics.run_count == 3)
    running.send(SIGTERM)
    said = [it for it in (await running.end()).stderr.splitlines() if "state directory" not in it]
    assert said == [
        "ingestor: waiting for files that match nothing/*.jsonl: there are none yet",
        "ingestor: waiting for record files in empty: there are none yet",
        "ingestor: missing.log does not exist yet: it is read once it is there",
    ]
