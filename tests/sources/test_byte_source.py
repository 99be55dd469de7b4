import bz2
import gzip
import lzma
import os
import random
import resource
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import pytest
from backports import zstd

from ingestor.model.record import Job, Reject
from ingestor.model.sources import Source, SourceEnd
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.file_source import FileSource
from ingestor.sources.locate import locate, source_of
from ingestor.system.limits import LimitError
from tests.support.records import SCOPE

Pack = Callable[[bytes], bytes]


def compress_as_lzma(content: bytes) -> bytes:
    return lzma.compress(content, lzma.FORMAT_ALONE, preset=0)


def compress_as_xz(content: bytes) -> bytes:
    return lzma.compress(content, preset=0)


PACKS: list[tuple[str, Pack]] = [
    ("gz", gzip.compress),
    ("bz2", bz2.compress),
    ("xz", compress_as_xz),
    ("lzma", compress_as_lzma),
    ("zst", zstd.compress),
]
PACKED = pytest.mark.parametrize(("suffix", "pack"), PACKS, ids=[name for name, _ in PACKS])
ALL = [("txt", bytes), *PACKS]
STORED = pytest.mark.parametrize(("suffix", "pack"), ALL, ids=[name for name, _ in ALL])
RANDOM = random.Random(1)
TEXTS = [b'{"job_id":"%d %s"}' % (number, RANDOM.randbytes(40).hex().encode()) for number in range(20_000)]
RECORD = b'{"job_id":"a"}\n'
CONTENT = b"\n".join(TEXTS) + b"\n"


def compress_with_checksum(content: bytes) -> bytes:
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


@pytest.fixture
def put(tmp_path: Path) -> Callable[[str, bytes], str]:
    def put(suffix: str, content: bytes) -> str:
        path = tmp_path / f"runs.jsonl.{suffix}"
        path.write_bytes(content)
        return str(path)

    return put


Put = Callable[[str, bytes], str]


def content_of(name: str, size: int = 65_536) -> bytes:
    with closing(ByteSource(name)) as source:
        return b"".join(source.blocks(size))


def read(name: str) -> tuple[list[bytes], list[Reject], SourceEnd | None]:
    """Read an input as records; return their texts, the rejects, and how it ended."""
    chunks = list(FileSource(source_of(name), SCOPE).read())
    records = [record for chunk in chunks for record in chunk.records]
    jobs = [record.raw for record in records if isinstance(record, Job)]
    return jobs, [record for record in records if isinstance(record, Reject)], chunks[-1].end


@contextmanager
def as_standard_input(descriptor: int) -> Iterator[None]:
    """Put a descriptor in the place of standard input, which it takes over."""
    saved = os.dup(0)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    try:
        yield
    finally:
        os.dup2(saved, 0)
        os.close(saved)


def open_descriptors() -> set[int]:
    def is_open(descriptor: int) -> bool:
        try:
            os.fstat(descriptor)
        except OSError:
            return False
        return True

    return set(filter(is_open, range(200)))


def test_a_plain_file_is_read_as_it_is(put: Put) -> None:
    assert content_of(put("txt", CONTENT)) == CONTENT


@PACKED
def test_a_packed_file_is_unpacked(put: Put, suffix: str, pack: Pack) -> None:
    assert content_of(put(suffix, pack(CONTENT))) == CONTENT


@PACKED
def test_packed_files_one_after_the_other_are_one_input(put: Put, suffix: str, pack: Pack) -> None:
    half = len(CONTENT) // 2
    assert content_of(put(suffix, pack(CONTENT[:half]) + pack(b"") + pack(CONTENT[half:]))) == CONTENT


@PACKED
def test_a_packed_nothing_is_an_empty_input(put: Put, suffix: str, pack: Pack) -> None:
    assert read(put(suffix, pack(b""))) == ([], [], SourceEnd.COMPLETE)


def test_an_empty_file_is_an_empty_input(put: Put) -> None:
    assert read(put("txt", b"")) == ([], [], SourceEnd.COMPLETE)


@PACKED
def test_a_packed_file_without_a_byte_was_cut_short(put: Put, suffix: str, pack: Pack) -> None:
    found, (reject,), end = read(put(suffix, b""))
    assert (found, end) == ([], SourceEnd.DAMAGED)
    assert "cut short or damaged (the file is empty)" in reject.reason


@STORED
def test_no_block_is_longer_than_asked_for(put: Put, suffix: str, pack: Pack) -> None:
    name = put(suffix, pack(b"z" * 100_000))
    with closing(ByteSource(name)) as source:
        assert {len(block) for block in source.blocks(1000)} == {1000}


@PACKED
def test_the_whole_lines_of_a_truncated_file_are_read(put: Put, suffix: str, pack: Pack) -> None:
    packed = pack(CONTENT)
    found, (reject,), end = read(put(suffix, packed[: len(packed) * 2 // 3]))
    assert 100 < len(found) < len(TEXTS)
    assert (found, end) == (TEXTS[: len(found)], SourceEnd.DAMAGED)
    assert reject.origin.line == len(found) + 1
    assert "cut short or damaged" in reject.reason
    assert TEXTS[len(found)].startswith(reject.text.encode())


@PACKED
def test_a_file_that_lost_only_its_last_byte_ends_damaged(put: Put, suffix: str, pack: Pack) -> None:
    found, rejects, end = read(put(suffix, pack(RECORD * 2)[:-1]))
    assert found == [RECORD.rstrip()] * len(found)
    assert (len(rejects), end) == (1, SourceEnd.DAMAGED)


@pytest.mark.parametrize(
    ("suffix", "pack", "at", "value"),
    [("gz", gzip.compress, 10, 0x07), ("zst", zstd.compress, 4, 0x08)],  # block type 3; the reserved bit of a frame
)
def test_all_lines_before_impossible_data_are_read(put: Put, suffix: str, pack: Pack, at: int, value: int) -> None:
    impossible = bytearray(pack(b"{}\n"))
    impossible[at] |= value
    found, (reject,), end = read(put(suffix, pack(CONTENT) + impossible))
    assert (found, end) == (TEXTS, SourceEnd.DAMAGED)
    assert reject.origin.line == len(TEXTS) + 1
    assert "the compressed data is" in reject.reason


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", compress_with_checksum)])
def test_a_checksum_that_fails_is_one_reject(put: Put, suffix: str, pack: Pack) -> None:
    damaged = bytearray(pack(CONTENT))
    damaged[-500_000] ^= 0xFF
    found, rejects, end = read(put(suffix, pack(CONTENT) + damaged + pack(CONTENT)))
    assert found[: len(TEXTS)] == TEXTS
    assert (len(found) < 3 * len(TEXTS), end) == (True, SourceEnd.DAMAGED)
    assert [reject.reason.startswith("reading ended here: ") for reject in rejects].count(True) == 1


@PACKED
def test_what_is_not_packed_as_its_name_says_is_one_reject(put: Put, suffix: str, pack: Pack) -> None:
    found, (reject,), end = read(put(suffix, RECORD))
    assert (found, end) == ([], SourceEnd.DAMAGED)
    assert reject.origin.line == 1
    assert "the data is not compressed, although its name says so" in reject.reason


@PACKED
def test_garbage_after_a_packed_file_is_one_reject(put: Put, suffix: str, pack: Pack) -> None:
    found, rejects, end = read(put(suffix, pack(RECORD) + b"garbage, and no packed data"))
    assert (found, len(rejects), end) == ([RECORD.rstrip()], 1, SourceEnd.DAMAGED)


def test_a_file_that_went_away_is_one_reject(tmp_path: Path) -> None:
    found, (reject,), end = read(str(tmp_path / "gone.jsonl"))
    assert (found, end) == ([], SourceEnd.DAMAGED)
    assert "No such file" in reject.reason


def test_a_directory_in_place_of_a_file_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(DamagedSourceError, match="Is a directory"):
        content_of(str(tmp_path))


@STORED
def test_every_stored_byte_is_counted(put: Put, suffix: str, pack: Pack) -> None:
    name = put(suffix, pack(CONTENT))
    source = FileSource(source_of(name), SCOPE)
    assert (source.read_bytes, source.total_bytes) == (0, Path(name).stat().st_size)
    assert sum(len(chunk.records) for chunk in source.read()) == len(TEXTS)
    assert source.read_bytes == source.total_bytes


@STORED
def test_every_file_is_closed_whether_read_to_its_end_broken_or_left(put: Put, suffix: str, pack: Pack) -> None:
    before = open_descriptors()
    packed = pack(CONTENT)
    content_of(put(suffix, packed))
    read(put(suffix, packed[: len(packed) // 2]))
    chunks = FileSource(source_of(put(suffix, packed)), SCOPE).read()
    next(chunks)
    assert open_descriptors() > before
    del chunks
    assert open_descriptors() == before


def test_a_fifo_is_read_to_its_end_and_has_no_size(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(CONTENT,))
    writer.start()
    assert FileSource(source_of(str(path)), SCOPE).total_bytes is None
    assert content_of(str(path)) == CONTENT
    writer.join()


def test_standard_input_is_read_and_left_open() -> None:
    here, there = os.pipe()
    os.write(there, RECORD * 2)
    os.close(there)
    with as_standard_input(here):
        assert FileSource(Source("-", None), SCOPE).total_bytes is None
        assert read("-") == ([RECORD.rstrip()] * 2, [], SourceEnd.COMPLETE)
        assert 0 in open_descriptors()


def test_a_pipe_gives_what_is_there_without_waiting_for_a_whole_block() -> None:
    here, there = os.pipe()
    with as_standard_input(here):
        blocks = ByteSource("-").blocks()
        os.write(there, b"first\n")
        assert next(blocks) == b"first\n"
        os.write(there, b"second")
        assert next(blocks) == b"second"
        os.close(there)
        assert list(blocks) == []


def test_a_pipe_that_others_made_non_blocking_is_waited_for() -> None:
    here, there = os.pipe()
    os.set_blocking(here, False)

    def write_once_a_read_found_nothing(_frame: FrameType | None, event: str, function: object) -> None:
        if event == "c_exception" and function is os.read:
            sys.setprofile(None)
            os.write(there, b'{"job_id":"late"}\n')
            os.close(there)

    with as_standard_input(here):
        sys.setprofile(write_once_a_read_found_nothing)
        try:
            assert read("-") == ([b'{"job_id":"late"}'], [], SourceEnd.COMPLETE)
        finally:
            sys.setprofile(None)


@contextmanager
def without_further_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_limit_of_open_files_is_no_damage_of_the_file(put: Callable[[str, bytes], str]) -> None:
    name = put("jsonl", RECORD)
    source = FileSource(source_of(name), SCOPE)
    with without_further_files(), pytest.raises(LimitError, match="ulimit -n"):
        list(source.read())


@pytest.mark.parametrize("source", ["runs.jsonl.jsonl", "", "*.jsonl"])
def test_a_limit_of_open_files_is_no_fault_of_a_name(
    tmp_path: Path, put: Callable[[str, bytes], str], source: str
) -> None:
    put("jsonl", RECORD)
    with without_further_files(), pytest.raises(LimitError, match="ulimit -n"):
        locate([str(tmp_path / source)])
