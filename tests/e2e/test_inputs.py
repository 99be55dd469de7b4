"""Which files a batch reads, and what it says about inputs that are empty, compressed, damaged or changed."""

import bz2
import gzip
import lzma
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd

from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import COMMAND, Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run

SPELLINGS: dict[str, Callable[[bytes], bytes]] = {
    "A.JSONL": bytes,
    "b.jsonlines": bytes,
    "c.ldjson.1": bytes,
    "d.jsonl.GZ": gzip.compress,
    "e.jl.2.bz2": bz2.compress,
    "f.jsonl.xz": lzma.compress,
    "g.ndjson.zst": zstd.compress,
    "h.json": gzip.compress,
}


async def test_a_directory_is_read_with_all_its_spellings_and_what_is_skipped_is_named(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(80))
    for number, (name, pack) in enumerate(SPELLINGS.items()):
        program.write(f"runs/{name}", pack(to_lines(wanted[number::8])))
    program.write("runs/notes.txt", b"these are notes\n")
    os.mkfifo(program.folder / "runs" / "pipe.jsonl")

    ended = await program.run("run", *aim(simulator), "runs")

    assert ended.code == 0
    assert "2 files, for example runs/notes.txt, runs/pipe.jsonl (pipe)" in ended.stdout
    assert_each_is_one_run(simulator, wanted, program.rows())


EMPTY = ["nothing", "nothing/*.jsonl", "**/*.jsonl", "other", "empty.jsonl", "empty.jsonl.xz"]


@pytest.mark.parametrize("source", EMPTY)
@pytest.mark.parametrize("command", ["run", "check"])
async def test_an_empty_night_is_a_success(program: Program, simulator: Simulator, command: str, source: str) -> None:
    (program.folder / "nothing").mkdir()
    program.write("other/runs.csv", b"a,b\n")
    program.write("empty.jsonl.xz", lzma.compress(b""))
    program.write("empty.jsonl", b"") if source == "empty.jsonl" else None

    ended = await program.run(command, *(aim(simulator) if command == "run" else ()), source)

    assert ended.code == 0, ended
    assert ("There were no records" if command == "run" else "0 records: 0 valid") in ended.stdout
    assert ("other/runs.csv" in ended.stdout) is (source == "other")
    assert simulator.statistics.requests == 0


@pytest.mark.parametrize("source", ["gone", "gone.jsonl", "gone/*.jsonl", "gone/**"])
@pytest.mark.parametrize("command", ["run", "check"])
async def test_a_missing_path_is_an_error(program: Program, simulator: Simulator, command: str, source: str) -> None:
    ended = await program.run(command, *(aim(simulator) if command == "run" else ()), source)
    assert (ended.code, ended.stdout) == (2, "")
    assert "there is no such file or directory" in ended.stderr


@pytest.mark.parametrize("words", [("run",), ("run", "-"), ("run", "/dev/stdin"), ("run", "-", "--no-spool")])
async def test_a_closed_standard_input_is_named(program: Program, simulator: Simulator, words: tuple[str, ...]) -> None:
    closing = ("sh", "-c", 'exec "$@" <&-', "sh", *COMMAND)
    ended = await program.spawn(*words, *aim(simulator), command=closing)
    assert (ended.code, ended.stderr.count("\n")) == (2, 1)
    assert "standard input is closed" in ended.stderr


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])
@pytest.mark.parametrize("more", [(), ("--no-spool",)], ids=["spool", "no spool"])
async def test_compressed_standard_input_is_read(
    program: Program, simulator: Simulator, pack: Callable[[bytes], bytes], more: tuple[str, ...]
) -> None:
    wanted = list(records(30))
    ended = await program.ingest(*aim(simulator), *more, stdin=pack(to_lines(wanted)))
    assert ended.code == 0
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert program.spooled() == 0


@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGKILL])
async def test_compressed_standard_input_of_a_stopped_run_is_finished_and_can_be_read_again(
    program: Program, simulator: Simulator, way: signal.Signals
) -> None:
    wanted = list(records(2000))
    packed = gzip.compress(to_lines(wanted))
    running = await program.start("run", *aim(simulator), "--rate", "300")
    await running.write(packed[: len(packed) // 2])
    await running.until(lambda: simulator.statistics.run_count >= 20)
    running.send(way)
    await running.end()

    resumed = await program.run("resume", *aim(simulator))
    assert resumed.code in (0, 3)  # a record that was cut is a reject, and comes again below
    assert 100 < simulator.statistics.run_count < 2000

    ended = await program.ingest(*aim(simulator), stdin=packed)
    assert ended.code == 0, ended
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert program.spooled() == 0


@pytest.mark.parametrize("way", [None, signal.SIGTERM, signal.SIGKILL], ids=["ended", "stopped", "killed"])
async def test_resume_after_a_run_inside_a_damaged_file_never_says_that_nothing_is_left(
    program: Program, simulator: Simulator, way: signal.Signals | None
) -> None:
    name = program.write("runs.jsonl.gz", gzip.compress(to_lines(records(1000)))[:-1000])
    running = await program.start("run", *aim(simulator), *(("--rate", "400") if way else ()), name)
    if way is not None:
        await running.until(lambda: simulator.statistics.run_count >= 20)
        running.send(way)
    ended = await running.end()
    assert ended.code == {None: 3, signal.SIGTERM: 75, signal.SIGKILL: -9}[way]

    codes = [(await program.run("resume", *aim(simulator))).code for _ in range(3)]
    assert codes == [3, 3, 3]


async def test_resume_after_damaged_standard_input_never_says_that_nothing_is_left(
    program: Program, simulator: Simulator
) -> None:
    packed = gzip.compress(to_lines(records(1000)))
    assert (await program.run("run", *aim(simulator), stdin=packed[:-1000])).code == 3
    for _ in range(2):
        ended = await program.run("resume", *aim(simulator))
        assert (ended.code, "could not read standard input to the end" in ended.stdout) == (3, True)
    assert (await program.run("run", *aim(simulator), stdin=packed)).code == 0
    assert (await program.run("resume", *aim(simulator))).code == 0


def rewrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def shorten(path: Path, _: bytes) -> None:
    os.truncate(path, 1_000_000)


@pytest.mark.parametrize("change", [rewrite, shorten])
async def test_a_file_that_is_changed_while_a_batch_reads_it_makes_no_run_of_two_halves(
    program: Program, simulator: Simulator, change: Callable[[Path, bytes], None]
) -> None:
    wanted = [{**it, "tags": {"filler": "x" * 1000}} for it in records(5000)]
    others = to_lines({**it, "job_id": f"other {it['job_id']}"} for it in wanted)
    name = program.write("runs.jsonl", wanted)
    running = await program.start("run", *aim(simulator), "--concurrency", "8", name)
    await running.until(lambda: simulator.statistics.run_count >= 20)
    change(program.folder / name, others)
    ended = await running.end()

    assert ended.code == 3, ended
    assert {row["job_id"] for row in program.rows()} <= {it["job_id"] for it in wanted}
    assert "the file was changed while it was read" in program.rejects()[-1]["reason"]
