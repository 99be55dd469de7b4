"""Two half lines never become a record: a file that is rewritten while it is read ends there, as damaged."""

import gzip
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ingestor.model.record import Job, Reject
from ingestor.model.sources import Checkpoint, Chunk, Source, SourceEnd
from ingestor.sources.file_source import FileSource
from ingestor.sources.locate import source_of
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT
from tests.sources.standard_input import standard_input
from tests.support.records import SCOPE

COUNT = 12_000


def lines(name: str) -> bytes:
    """Return more than 1 MiB of lines: a file has several blocks, with lines that cross from one to the next."""
    return b"".join(json.dumps({"job_id": f"{name} {n}", "run_name": "x" * 60}).encode() + b"\n" for n in range(COUNT))


OLD, NEW = lines("old"), lines("new")
RECORDS = {line for content in (OLD, NEW) for line in content.splitlines()}


def write(path: Path, content: bytes) -> None:
    """Write content over a file, in place: as an editor, `cp` and a shell's `>` do."""
    path.write_bytes(content)


def overwrite(path: Path, content: bytes) -> None:
    """Write content over a file without truncating it first, as `dd conv=notrunc` and `rsync --inplace` do."""
    with path.open("r+b") as file:
        file.write(content)


def truncate(path: Path, _: bytes) -> None:
    os.truncate(path, 600_000)


def empty(path: Path, _: bytes) -> None:
    os.truncate(path, 0)


def insert(path: Path, _: bytes) -> None:
    write(path, b'{"job_id":"first"}\n' + OLD)


CHANGES = pytest.mark.parametrize("change", [write, overwrite, truncate, empty, insert])


class Input:
    """An input that is read in part."""

    def __init__(self, chunks: Iterator[Chunk]) -> None:
        self._chunks = chunks
        self._found = [next(chunks)]

    def read_on(self) -> tuple[list[bytes], list[Reject], SourceEnd | None]:
        """Read the rest; return all records, the rejects, and how reading ended."""
        self._found += self._chunks
        records = [record for chunk in self._found for record in chunk.records]
        jobs = [it.raw for it in records if isinstance(it, Job)]
        return jobs, [it for it in records if isinstance(it, Reject)], self._found[-1].end


def named(path: Path) -> Iterator[Chunk]:
    return FileSource(source_of(str(path)), SCOPE).read()


def redirected(path: Path) -> Iterator[Chunk]:
    with path.open("rb") as file, standard_input(file.fileno()):
        yield from FileSource(Source("-", None), SCOPE).read()


def spooled(path: Path) -> Iterator[Chunk]:
    with path.open("rb") as file, standard_input(file.fileno()):
        yield from Spool(path.parent, SCOPE).standard_input().read()


INPUTS = pytest.mark.parametrize("read", [named, redirected, spooled])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(OLD)
    return path


@CHANGES
@INPUTS
def test_a_file_that_is_rewritten_while_it_is_read_ends_as_damaged(
    path: Path, read: Callable[[Path], Iterator[Chunk]], change: Callable[[Path, bytes], None]
) -> None:
    source = Input(read(path))
    change(path, NEW)
    found, (reject,), end = source.read_on()
    assert found == OLD.splitlines()[: len(found)]
    assert (len(found) < COUNT, end) == (True, SourceEnd.DAMAGED)
    assert "the file was changed while it was read (it " in reject.reason
    assert "run the same command again once nothing writes to it" in reject.reason


@pytest.mark.parametrize(("size", "why"), [(600_000, "became shorter"), (len(OLD), "has other content now")])
def test_the_reason_says_how_the_file_changed(path: Path, size: int, why: str) -> None:
    source = Input(named(path))
    overwrite(path, NEW)
    os.truncate(path, size)
    assert f"(it {why})" in source.read_on()[1][0].reason


@INPUTS
def test_what_is_appended_while_a_file_is_read_is_read_too(path: Path, read: Callable[[Path], Iterator[Chunk]]) -> None:
    source = Input(read(path))
    with path.open("ab") as file:
        file.write(NEW)
    assert source.read_on() == ((OLD + NEW).splitlines(), [], SourceEnd.COMPLETE)


@INPUTS
def test_a_file_that_is_written_to_all_the_time_is_read_without_an_error(
    path: Path, read: Callable[[Path], Iterator[Chunk]]
) -> None:
    path.write_bytes(OLD[:5_000])
    stop = threading.Event()
    written = bytearray(path.read_bytes())

    def append() -> None:
        with path.open("ab", buffering=0) as file:
            for start in range(5_000, len(OLD), 5_000):
                written.extend(OLD[start : start + 5_000])
                file.write(OLD[start : start + 5_000])
        stop.set()

    writer = threading.Thread(target=append)
    writer.start()
    found, rejects, end = Input(read(path)).read_on()
    writer.join()
    assert stop.is_set()
    assert [it for it in found if it not in RECORDS] == []
    assert (len(rejects) <= 1, end) == (True, SourceEnd.COMPLETE)  # the last line may be there in part


def times(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def mode(path: Path) -> None:
    path.chmod(0o600)


def rename(path: Path) -> None:
    path.rename(path.with_name("runs.jsonl.1"))
    path.write_bytes(NEW)


def delete(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("change", [times, mode, rename, delete])
@INPUTS
def test_a_file_with_the_same_content_is_the_same(
    path: Path, read: Callable[[Path], Iterator[Chunk]], change: Callable[[Path], None]
) -> None:
    source = Input(read(path))
    change(path)
    assert source.read_on() == (OLD.splitlines(), [], SourceEnd.COMPLETE)


@CHANGES
def test_a_compressed_file_that_is_rewritten_ends_as_damaged(
    tmp_path: Path, change: Callable[[Path, bytes], None]
) -> None:
    path = tmp_path / "runs.jsonl.gz"
    path.write_bytes(gzip.compress(OLD, compresslevel=0))
    source = Input(named(path))
    change(path, gzip.compress(NEW, compresslevel=0))
    found, (reject,), end = source.read_on()
    assert found == OLD.splitlines()[: len(found)]
    assert (len(found) < COUNT, end) == (True, SourceEnd.DAMAGED)
    assert "the file was changed while it was read" in reject.reason


def test_a_change_before_a_position_is_noticed_after_it_too(path: Path) -> None:
    position = next(named(path)).position
    source = Input(FileSource(source_of(str(path)), SCOPE).read(position))
    overwrite(path, NEW)
    assert source.read_on()[2] is SourceEnd.DAMAGED


def test_nothing_is_kept_of_a_standard_input_that_was_rewritten(path: Path) -> None:
    chunks = spooled(path)
    next(chunks)
    os.truncate(path, 0)
    *_, last = chunks
    spool = Spool(path.parent, SCOPE)
    kept = spool.kept(is_end=True)
    assert kept.sizes
    spool.acknowledge(Checkpoint(STANDARD_INPUT, last.position, end=last.end))
    assert (last.end, spool.is_empty) == (SourceEnd.DAMAGED, True)
