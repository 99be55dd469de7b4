"""Standard input is kept before it counts as read, and until every record of it has a durable outcome."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.model.errors import SpoolError
from ingestor.model.record import Job
from ingestor.model.sources import Checkpoint, Chunk, Position, SourceEnd
from ingestor.policy.identity import Scope
from ingestor.sources.reader import RecordSource, read_sources
from ingestor.sources.segment_folder import kept_elsewhere
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT
from tests.sources.standard_input import piped, standard_input, texts
from tests.support.records import SCOPE

OTHER = Scope(SCOPE.platform, SCOPE.workspace, "another batch")
TEXT = b'{"run_name": "a"}\n\n{"run_name": "b"}\r\n{"run_name": "c"}'


def sizes(state: Path) -> list[int] | None:
    """Return the sizes of the spool's files; None if one is deleted at this moment."""
    try:
        return [file.stat().st_size for file in files(state)]
    except FileNotFoundError:
        return None


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("stdin-*.jsonl"))


def places(chunks: Sequence[Chunk]) -> list[tuple[str, int, bytes]]:
    jobs = [record for chunk in chunks for record in chunk.records]
    return [(it.origin.source, it.origin.line, it.raw) for it in jobs if isinstance(it, Job)]


def read(source: RecordSource, start: Position | None = None) -> list[Chunk]:
    return list(source.read(start))


def keep(spool: Spool, text: bytes) -> list[Chunk]:
    """Read a standard input to its end."""
    with piped(text):
        return read(spool.standard_input())


def cut(spool: Spool, text: bytes) -> list[Chunk]:
    """Read a standard input, and be killed before its end."""
    reading, writing = os.pipe()
    try:
        with standard_input(reading):
            os.write(writing, text)
            chunks = spool.standard_input().read(None)
            found = list(islice(chunks, 1))
            chunks.close()  # type: ignore[attr-defined]  # the generator that it is
            return found
    finally:
        os.close(reading)
        os.close(writing)


def checkpoint(chunk: Chunk) -> Checkpoint:
    return Checkpoint(STANDARD_INPUT, chunk.position, end=chunk.end)


def acknowledge(spool: Spool, chunk: Chunk) -> None:
    spool.acknowledge(checkpoint(chunk))


def test_what_was_read_is_there_again_line_for_line(tmp_path: Path) -> None:
    first = places(keep(Spool(tmp_path, SCOPE), TEXT))
    assert [number for _, number, _ in first] == [1, 3, 4]
    assert {source for source, _, _ in first} == {"-"}
    assert places(read(Spool(tmp_path, SCOPE).kept(is_end=True))) == first


def test_a_block_is_in_the_file_before_its_records_are_yielded(tmp_path: Path) -> None:
    with piped(TEXT):
        chunks = Spool(tmp_path, SCOPE).standard_input().read(None)
        next(chunks)
        [file] = files(tmp_path)
        assert file.read_bytes() == TEXT


def test_a_redirected_file_is_kept_as_well(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes(TEXT)
    with (tmp_path / "runs.jsonl").open("rb") as file, standard_input(file.fileno()):
        first = places(read(Spool(tmp_path, SCOPE).standard_input()))
    assert places(read(Spool(tmp_path, SCOPE).kept(is_end=True))) == first


def test_what_is_kept_for_others_is_known_with_its_size_and_its_owner(tmp_path: Path) -> None:
    assert kept_elsewhere(tmp_path, SCOPE) == []
    keep(Spool(tmp_path, OTHER), TEXT)
    keep(Spool(tmp_path, SCOPE), b"{}\n")
    (found,) = kept_elsewhere(tmp_path, SCOPE)
    assert (found.size, found.scope) == (len(TEXT), OTHER)
    (found.folder / "scope.json").unlink()
    (found,) = kept_elsewhere(tmp_path, SCOPE)
    assert found.scope is None


def test_it_is_known_whether_the_end_was_seen_of_what_is_kept(tmp_path: Path) -> None:
    keep(Spool(tmp_path, SCOPE), TEXT)
    assert (Spool(tmp_path, SCOPE).is_cut, Spool(tmp_path, SCOPE).is_empty) == (False, False)
    cut(Spool(tmp_path, SCOPE), TEXT)
    assert Spool(tmp_path, SCOPE).is_cut
    assert (Spool(tmp_path, OTHER).is_cut, Spool(tmp_path, OTHER).is_empty) == (False, True)


def test_every_byte_is_counted_and_the_size_of_what_is_kept_is_known(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCOPE)
    with piped(TEXT):
        live = spool.standard_input()
        first, *_ = read(live)
    assert (live.read_bytes, live.total_bytes) == (len(TEXT), None)
    for start in (None, first.position):
        kept = Spool(tmp_path, SCOPE).kept(is_end=True)
        assert (kept.read_bytes, kept.total_bytes) == (0, len(TEXT))
        read(kept, start)
        assert kept.read_bytes == len(TEXT)


def test_kept_streams_are_read_oldest_first_and_only_for_their_batch(tmp_path: Path) -> None:
    keep(Spool(tmp_path, SCOPE), b"{}\n")
    keep(Spool(tmp_path, SCOPE), b'{"run_name": "later"}\n')
    assert texts(read(Spool(tmp_path, SCOPE).kept(is_end=True))) == [b"{}", b'{"run_name": "later"}']
    assert Spool(tmp_path, OTHER).is_empty


def test_the_files_are_private(tmp_path: Path) -> None:
    keep(Spool(tmp_path, SCOPE), TEXT)
    [file] = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [folder.stat().st_mode & 0o777 for folder in file.parents[:2]] == [0o700] * 2


def test_where_it_can_not_be_kept_nothing_counts_as_read(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file in the place of the folder")
    with pytest.raises(SpoolError, match="--no-spool"):
        keep(Spool(tmp_path, SCOPE), TEXT)


class Pipe:
    """A pipe in the place of standard input that stays open, and the process that reads it."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        reading, self._writing = os.pipe()
        self._replaced = standard_input(reading)
        self._replaced.__enter__()
        os.close(reading)
        self._chunks = spool.standard_input().read(None)

    def send(self, text: bytes) -> Chunk:
        """Write text, and read the chunk that it makes."""
        os.write(self._writing, text)
        return next(self._chunks)

    def end(self) -> Chunk:
        os.close(self._writing)
        [last] = self._chunks
        return last

    def close(self) -> None:
        self._replaced.__exit__(None, None, None)


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Pipe]:
    """Open a pipe of which each line of one record is a segment."""
    opened = Pipe(Spool(tmp_path, SCOPE, segment_size=len(line(0))))
    yield opened
    opened.close()


def line(number: int) -> bytes:
    return json.dumps({"job_id": f"job {number}"}).encode() + b"\n"


async def test_nothing_is_kept_of_an_open_pipe_that_is_silent_and_whose_records_are_done(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCOPE, silence=0)
    reading, writing = os.pipe()
    with standard_input(reading):
        os.close(reading)
        reader = read_sources([STANDARD_INPUT], SCOPE, spool)
        chunks = aiter(reader.chunks())
        async with asyncio.timeout(30):
            for number in range(20):
                os.write(writing, line(number))
                chunk = await anext(chunks)
                await reader.acknowledge([checkpoint(chunk)])
                while sizes(tmp_path) != [0]:  # noqa: ASYNC110 - the reader's thread deletes and makes files
                    await asyncio.sleep(0)
            assert Spool(tmp_path, SCOPE).is_cut
            os.close(writing)
            await reader.acknowledge([checkpoint(await anext(chunks))])
            assert await anext(chunks, None) is None
    assert spool.is_empty


def test_little_is_kept_of_a_pipe_whose_records_are_done(pipe: Pipe, tmp_path: Path) -> None:
    for number in range(100):
        acknowledge(pipe.spool, pipe.send(line(number)))
        assert len(files(tmp_path)) <= 2
        assert sum(file.stat().st_size for file in files(tmp_path)) <= 2 * len(line(number))
    acknowledge(pipe.spool, pipe.end())
    assert pipe.spool.is_empty


def test_a_segment_is_deleted_as_soon_as_it_is_sealed_where_all_of_it_is_done(pipe: Pipe, tmp_path: Path) -> None:
    first = pipe.send(line(1))
    acknowledge(pipe.spool, first)
    [begun] = files(tmp_path)
    pipe.send(line(2))
    assert begun not in files(tmp_path)
    assert [file.read_bytes() for file in files(tmp_path)] == [line(2)]


def test_what_is_not_done_stays(pipe: Pipe, tmp_path: Path) -> None:
    chunks = [pipe.send(line(number)) for number in range(5)]
    acknowledge(pipe.spool, chunks[2])
    assert b"".join(file.read_bytes() for file in files(tmp_path)) == line(3) + line(4)
    assert texts(read(Spool(tmp_path, SCOPE).kept(is_end=True), chunks[2].position)) == texts(chunks[3:])


def test_the_next_process_deletes_what_was_passed_and_is_still_there(pipe: Pipe, tmp_path: Path) -> None:
    """A process was killed between the commit of a checkpoint and the deletion."""
    chunks = [pipe.send(line(number)) for number in range(5)]
    spool = Spool(tmp_path, SCOPE)
    kept = spool.kept(is_end=True)
    found = read(kept, chunks[3].position)
    assert texts(found) == texts(chunks[4:])
    acknowledge(spool, chunks[3])
    assert [file.read_bytes() for file in files(tmp_path)] == [line(4)]
    acknowledge(spool, found[-1])
    assert spool.is_empty


def test_what_is_read_again_is_deleted_once_it_is_done(tmp_path: Path) -> None:
    cut(Spool(tmp_path, SCOPE), TEXT)
    keep(Spool(tmp_path, SCOPE), TEXT)
    spool = Spool(tmp_path, SCOPE)
    *_, last = read(spool.kept(is_end=True))
    assert last.end is SourceEnd.COMPLETE
    acknowledge(spool, last)
    assert spool.is_empty


def test_only_what_was_read_is_deleted(tmp_path: Path) -> None:
    mine, other = Spool(tmp_path, SCOPE), Spool(tmp_path, SCOPE)
    *_, last = keep(mine, TEXT)
    keep(other, b'{"run_name": "of another"}')
    acknowledge(mine, last)
    assert texts(read(Spool(tmp_path, SCOPE).kept(is_end=True))) == [b'{"run_name": "of another"}']


def test_a_new_segment_never_has_the_number_of_an_old_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCOPE, segment_size=10)
    *_, last = keep(spool, TEXT)
    acknowledge(spool, last)
    next_process = Spool(tmp_path, SCOPE)
    with piped(b"{}\n"):
        chunk, end = next_process.standard_input().read(last.position)
    assert json.loads(chunk.position or "")["segment"] > json.loads(last.position or "")["segment"]
    acknowledge(next_process, end)
    assert next_process.is_empty


@pytest.mark.parametrize("lost", [None, "nonsense", '{"segment":99,"offset":0,"line":1}'])
def test_without_a_checkpoint_everything_kept_is_read_but_for_the_rest_of_a_line_that_is_done(
    tmp_path: Path, lost: Position | None
) -> None:
    spool = Spool(tmp_path, SCOPE, segment_size=25)
    with piped(line(0) + line(1) + line(2) + line(3)):
        chunks = spool.standard_input().read(None)
        next(chunks)
        acknowledge(spool, next(chunks))
        assert texts(list(chunks)) == [line(2).strip(), line(3).strip()]
    spool = Spool(tmp_path, SCOPE)
    assert (spool.segments()[0].number, spool.segments()[0].is_inside) == (2, True)
    found = read(spool.kept(is_end=True), lost)
    assert [record.origin.line for chunk in found for record in chunk.records] == [3, 4]
    assert texts(found) == [line(2).strip(), line(3).strip()]


LEGACY = {
    "stdin-20261124T120000.000000Z-7.jsonl": b'{"run_name": "0"}\n',  # before files had numbers
    "stdin-n000000000001-99991231T120000.000000Z-4711-whole.jsonl": b'{"run_name": "1"}\n[]',
    "stdin-n000000000002-20261125T120000.000000Z-4712.jsonl": b'{"run_name": "2"}\n{"run_',
}


def write_legacy(folder: Path) -> Spool:
    spool = Spool(folder, SCOPE)
    spool.folder.mkdir(parents=True)
    for name, content in LEGACY.items():
        (spool.folder / name).write_bytes(content)
    return spool


def test_the_files_of_the_last_version_are_read_in_order_and_then_this_standard_input(tmp_path: Path) -> None:
    spool = write_legacy(tmp_path)
    assert spool.is_cut
    kept = read(spool.kept(is_end=False))
    assert texts(kept) == [b'{"run_name": "0"}', b'{"run_name": "1"}', b"[]", b'{"run_name": "2"}']
    first, *_, last = keep(spool, b'name": "3"}\n{"run_name": "4"}\n')
    assert texts([first]) == [b'{"run_name": "3"}', b'{"run_name": "4"}']
    for chunk in kept:
        acknowledge(spool, chunk)
    assert set(LEGACY) <= {file.name for file in files(tmp_path)}
    acknowledge(spool, first)
    assert not set(LEGACY) & {file.name for file in files(tmp_path)}
    acknowledge(spool, last)
    assert spool.is_empty


def test_a_file_of_the_last_version_is_read_again_from_its_start_after_a_kill(tmp_path: Path) -> None:
    first, *_ = read(write_legacy(tmp_path).kept(is_end=False))
    spool = Spool(tmp_path, SCOPE)
    found = read(spool.kept(is_end=True), first.position)
    assert texts(found) == [b'{"run_name": "0"}', b'{"run_name": "1"}', b"[]", b'{"run_name": "2"}', b'{"run_']
    acknowledge(spool, found[-1])
    assert spool.is_empty


def test_whether_the_last_version_saw_the_end_is_known(tmp_path: Path) -> None:
    spool = write_legacy(tmp_path)
    for name in LEGACY:
        if "whole" not in name:
            (spool.folder / name).unlink()
    assert not spool.is_cut


LINES = st.lists(st.integers(0, 60), max_size=12).map(
    lambda sizes: [json.dumps({"job_id": f"job {n}", "run_name": "x" * size}).encode() for n, size in enumerate(sizes)]
)


@settings(max_examples=30)  # each example waits for the disk many times
@given(LINES, st.booleans(), st.data())
def test_whenever_processes_are_killed_no_record_is_lost_and_none_before_a_checkpoint_is_read_again(
    lines: list[bytes], ended: bool, data: st.DataObject
) -> None:
    """Processes read one pipe, one after the other, each from the last durable checkpoint."""
    done: list[bytes] = []
    start: Position | None = None
    text = b"\n".join(lines) + b"\n" * ended
    with TemporaryDirectory() as folder, piped(text):
        for is_last in [*[False] * data.draw(st.integers(0, 4)), True]:
            spool = Spool(Path(folder), SCOPE, segment_size=data.draw(st.integers(10, 300)))
            parts: list[RecordSource] = [spool.kept(is_end=False), spool.standard_input()]
            chunks = chain.from_iterable(part.read(start) for part in parts)
            undone: list[bytes] = []
            for chunk in chunks if is_last else islice(chunks, data.draw(st.integers(0, 30))):
                undone += texts([chunk])
                if chunk.end or data.draw(st.booleans()):
                    done, undone, start = done + undone, [], chunk.position
                    if chunk.end or data.draw(st.booleans()):
                        acknowledge(spool, chunk)
        assert done == lines
        assert chunk.end is SourceEnd.COMPLETE
        assert spool.is_empty


KILLED_READER = """
import os, signal, sys
from pathlib import Path
from ingestor.policy.identity import Scope
from ingestor.sources.spool import Spool

spool = Spool(Path(sys.argv[1]), Scope(*sys.argv[2:]), segment_size=4096)
for number, chunk in enumerate(spool.standard_input().read()):
    if number == 10:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_reader_has_lost_nothing_that_left_the_pipe(tmp_path: Path) -> None:
    text = b"".join(json.dumps({"run_name": f"run {number}"}).encode() + b"\n" for number in range(20_000))
    reading, writing = os.pipe()
    command = [sys.executable, "-c", KILLED_READER, str(tmp_path), SCOPE.platform, SCOPE.workspace, SCOPE.batch]
    reader = subprocess.Popen(command, stdin=reading)
    written = 0
    os.set_blocking(writing, False)
    while reader.poll() is None:
        try:
            written += os.write(writing, text[written : written + 65_536])
        except BlockingIOError:
            continue
    os.close(writing)
    with os.fdopen(reading, "rb") as left:
        left_in_the_pipe = left.read()
    kept = b"".join(file.read_bytes() for file in files(tmp_path))
    assert len(kept) >= 10 * 4096
    assert len(files(tmp_path)) >= 10
    assert kept + left_in_the_pipe == text[:written]
