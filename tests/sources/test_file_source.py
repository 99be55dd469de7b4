"""A position is a hint that saves time: wherever reading continues, nothing is skipped."""

import bz2
import gzip
import json
import lzma
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.record import Job, Reject
from ingestor.model.sources import Chunk, Position, SourceEnd
from ingestor.sources.file_source import FileSource
from ingestor.sources.locate import source_of
from tests.support.records import SCOPE

Pack = Callable[[bytes], bytes]
PACKS: dict[str, Pack] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": partial(lzma.compress, preset=0),
    ".zst": zstd.compress,
    ".1": gzip.compress,  # the name does not say that it is compressed
}


def line(number: int, filler: int = 0) -> bytes:
    return json.dumps({"job_id": f"job {number}", "run_name": "x" * filler}).encode() + b"\n"


SHORT = [line(number) for number in range(5)]
LONG = [line(number, filler=700 * (number % 5)) for number in range(2000)]
"""More than 2 MiB: several blocks, with lines that cross from one to the next."""


class File:
    """A file of records. `write` replaces its content in place, as an editor or `cp` does."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self.path = folder / f"runs.jsonl{suffix}"
        self._pack = PACKS[suffix]

    def write(self, content: bytes) -> None:
        self.path.write_bytes(self._pack(content))

    def append(self, content: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(self._pack(content))

    def chunks(self, start: Position | None = None) -> list[Chunk]:
        return list(FileSource(source_of(str(self.path)), SCOPE).read(start))

    def read(self, start: Position | None = None) -> list[bytes]:
        """Read the records after a position, as lines."""
        return texts(self.chunks(start))


def texts(chunks: Sequence[Chunk]) -> list[bytes]:
    return [it.raw if isinstance(it, Job) else it.text.encode() for chunk in chunks for it in chunk.records]


def bare(lines: Sequence[bytes]) -> list[bytes]:
    return [it.removesuffix(b"\n") for it in lines]


@pytest.fixture(params=PACKS)
def file(request: pytest.FixtureRequest, tmp_path: Path) -> File:
    return File(tmp_path, request.param)


def position_of(chunk: Chunk) -> Position:
    assert chunk.position is not None
    return chunk.position


def test_the_records_after_every_position_are_what_was_not_read_before_it(file: File) -> None:
    file.write(b"".join(LONG))
    chunks = file.chunks()
    assert len(chunks) > 3
    for index, chunk in enumerate(chunks):
        again = file.chunks(position_of(chunk))
        assert texts(chunks[: index + 1]) + texts(again) == bare(LONG)
        assert [it.origin for part in chunks[index + 1 :] for it in part.records] == [
            it.origin for part in again for it in part.records
        ]
        assert again[-1].position == chunks[-1].position


TEXT = st.lists(st.integers(0, 3000), max_size=8).map(lambda sizes: [line(n, size) for n, size in enumerate(sizes)])


@given(TEXT, TEXT, st.sampled_from(sorted(PACKS)), st.booleans(), st.data())
def test_what_was_appended_is_read_and_nothing_is_read_twice(
    before: list[bytes], after: list[bytes], suffix: str, ended: bool, data: st.DataObject
) -> None:
    with TemporaryDirectory() as folder:
        file = File(Path(folder), suffix)
        cut = data.draw(st.integers(0, len(before)))
        file.write(b"".join(before[:cut]))
        start = file.chunks()[-1].position
        file.append(b"".join(before[cut:]))
        rest = b"".join(after) if ended else b"".join(after).removesuffix(b"\n")
        file.append(rest)
        assert file.read(start) == bare([*before[cut:], *after])
        assert file.chunks(start)[-1].position == file.chunks()[-1].position


@given(TEXT, TEXT, st.sampled_from(sorted(PACKS)), st.booleans())
def test_the_records_of_another_file_are_never_skipped(
    before: list[bytes], other: list[bytes], suffix: str, renamed: bool
) -> None:
    with TemporaryDirectory() as folder:
        file = File(Path(folder), suffix)
        file.write(b"".join(before))
        start = file.chunks()[-1].position
        if renamed:
            file.path.rename(file.path.with_name("away"))
        file.write(b"".join(other))
        found = file.read(start)
        skipped = len(other) - len(found)
        assert found == bare(other)[skipped:]
        assert other[:skipped] in ([], before)  # only what is at the same place in both files


@given(st.sampled_from(sorted(PACKS)), st.integers(1, 30), st.data())
def test_no_record_that_was_added_after_a_position_is_skipped(suffix: str, done: int, data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        file = File(Path(folder), suffix)
        before = [line(number, 500) for number in range(done)]
        file.write(b"".join(before))
        start = file.chunks()[-1].position
        behind = data.draw(st.lists(st.integers(1000, 1100).map(line), max_size=5))
        file.write(b"".join(before + behind))
        assert file.read(start) in (bare(behind), bare(before + behind))


def test_a_file_that_grew_is_read_on(file: File) -> None:
    file.write(b"".join(LONG))
    start = position_of(file.chunks()[-1])
    file.append(b"".join(SHORT))
    assert file.read(start) == bare(SHORT)


def test_a_file_that_is_as_it_was_is_read_on(file: File) -> None:
    file.write(b"".join(LONG))
    first = file.chunks()[0]
    assert file.read(position_of(first)) == bare(LONG[len(first.records) :])
    assert file.read(file.chunks()[-1].position) == []


def replaced(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)


def touched(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def changed_mode(path: Path) -> None:
    os.utime(path, ns=(1, path.stat().st_mtime_ns))  # a new ctime, with the mtime as it was


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("change", [replaced, touched, changed_mode, truncated])
def test_a_file_that_changed_and_did_not_grow_is_read_from_the_start(
    file: File, change: Callable[[Path], None]
) -> None:
    file.write(b"".join(LONG))
    start = position_of(file.chunks()[-2])
    change(file.path)
    assert file.read(start)[:1000] == bare(LONG)[:1000]


@pytest.mark.parametrize("at", [0, 10], ids=["in the first bytes", "before the offset"])
def test_an_edit_that_a_hash_covers_is_seen_though_the_file_grew(file: File, at: int) -> None:
    lines = [line(number, 200) for number in range(12)]
    file.write(b"".join(lines))
    start = position_of(file.chunks()[-1])
    edited = [*lines, *SHORT]
    edited[at] = edited[at].replace(b"xx", b"yy")
    file.write(b"".join(edited))
    assert file.read(start) == bare(edited)


def test_an_edit_between_the_hashed_bytes_of_a_file_that_grew_is_invisible(file: File) -> None:
    """Documented: a position is a hint."""
    file.write(b"".join(LONG))
    start = position_of(file.chunks()[-1])
    edited = [*LONG, *SHORT]
    edited[1000] = edited[1000].replace(b"x", b"y")
    file.write(b"".join(edited))
    if file.path.suffix == ".jsonl":  # a compressed file may be smaller now, which is another reason
        assert file.read(start) == bare(SHORT)
    assert set(bare(SHORT)) <= set(file.read(start))


def test_an_edit_while_the_file_is_read_makes_its_positions_void(tmp_path: Path) -> None:
    file = File(tmp_path, "")
    file.write(b"".join(LONG))
    chunks = FileSource(source_of(str(file.path)), SCOPE).read()
    assert len(next(chunks).records) > 300
    edited = [*LONG[:199], LONG[199].replace(b"x", b"y"), *LONG[200:]]
    file.write(b"".join(edited))
    *_, last = chunks
    assert file.read(last.position) == bare(edited)


def test_the_end_of_a_line_that_was_appended_later_is_not_read_as_a_line(file: File) -> None:
    file.write(LONG[0] + LONG[1].removesuffix(b"\n"))
    chunks = file.chunks()
    assert texts(chunks) == bare(LONG[:2])
    file.append(b"\n" + LONG[2])
    assert file.read(chunks[-1].position) == bare(LONG[1:3])


def test_lines_keep_their_numbers_after_a_position(file: File) -> None:
    file.write(b"\n\n" + LONG[0] + b"\n")
    start = position_of(file.chunks()[0])
    file.append(LONG[1])
    [chunk] = [it for it in file.chunks(start) if it.records]
    assert [it.origin.line for it in chunk.records] == [5]


@pytest.mark.parametrize("start", ["", "{}", "null", "[1]", "nonsense", '{"offset":-5,"line":1}'])
def test_what_is_no_position_means_the_start(file: File, start: Position) -> None:
    file.write(b"".join(SHORT))
    assert file.read(start) == bare(SHORT)


@pytest.mark.parametrize("offset", [-1, 7, 10**9, 10**30])
def test_a_position_with_another_offset_means_the_start(file: File, offset: int) -> None:
    file.write(b"".join(SHORT))
    start = json.loads(position_of(file.chunks()[-1]))
    assert file.read(json.dumps(start | {"offset": offset})) == bare(SHORT)


def test_a_position_after_damage_is_not_reached(file: File) -> None:
    file.write(b"".join(LONG))
    start = position_of(file.chunks()[-1])
    file.path.write_bytes(file.path.read_bytes()[:100] + b"damage" + bytes(2**20))
    chunks = file.chunks(start)
    assert texts(chunks)
    if file.path.suffix != ".jsonl":
        assert chunks[-1].end is SourceEnd.DAMAGED


def test_a_damaged_file_has_the_position_of_its_last_whole_line(tmp_path: Path) -> None:
    file = File(tmp_path, ".gz")
    file.write(b"".join(LONG))
    packed = file.path.read_bytes()
    file.path.write_bytes(packed[: len(packed) // 2])
    *_, last = file.chunks()
    assert (isinstance(last.records[-1], Reject), last.end) == (True, SourceEnd.DAMAGED)
    again = file.chunks(position_of(last))
    assert [chunk.records for chunk in again] == [[last.records[-1]]]


def test_an_empty_file_ends_at_its_start(file: File) -> None:
    file.write(b"")
    [chunk] = file.chunks()
    assert (chunk.records, chunk.end) == ([], SourceEnd.COMPLETE)
    file.append(b"".join(SHORT))
    assert file.read(chunk.position) == bare(SHORT)


def test_what_another_process_can_not_find_has_no_positions(tmp_path: Path) -> None:
    file = File(tmp_path, "")
    file.write(b"".join(LONG))
    with file.path.open("rb") as opened:
        chunks = list(FileSource(source_of(f"/dev/fd/{opened.fileno()}"), SCOPE).read())
    assert texts(chunks) == bare(LONG)
    assert {chunk.position for chunk in chunks} == {None}


def test_skipped_bytes_count_as_read(file: File) -> None:
    file.write(b"".join(LONG))
    start = position_of(file.chunks()[0])
    source = FileSource(source_of(str(file.path)), SCOPE)
    assert sum(len(chunk.records) for chunk in source.read(start)) < len(LONG)
    assert source.read_bytes == source.total_bytes == file.path.stat().st_size


def test_only_the_last_chunk_may_be_empty(file: File) -> None:
    file.write(b"\n" * 2_000_000 + b"".join(LONG) + b"\n" * 2_000_000)
    *chunks, last = file.chunks()
    assert all(chunk.records and chunk.end is None for chunk in chunks)
    assert (last.records, last.end) == ([], SourceEnd.COMPLETE)


def test_a_small_file_is_one_chunk_with_its_last_line_that_has_no_end(file: File) -> None:
    file.write(b'{"job_id":"a"}\n{"job_id":"b"}')
    [chunk] = file.chunks()
    assert (len(chunk.records), chunk.end) == (2, SourceEnd.COMPLETE)
    assert json.loads(position_of(chunk))["line"] == 2
