import gzip
import os
import random
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import pytest
from backports import zstd

from ingestor.model.record import Line, Reject
from ingestor.sources.byte_source import ByteSource, DamagedSourceError
from tests.sources.reading import lines

Pack = Callable[[bytes], bytes]

PACKED = pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", zstd.compress)])
STORED = pytest.mark.parametrize(("suffix", "pack"), [("txt", bytes), ("gz", gzip.compress), ("zst", zstd.compress)])
RANDOM = random.Random(1)
TEXTS = [b"%d " % number + RANDOM.randbytes(40).hex().encode() for number in range(20_000)]
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
    return b"".join(ByteSource(name, lambda _: None).blocks(size))


def read(name: str) -> tuple[list[bytes], list[Reject]]:
    found = list(lines(ByteSource(name, lambda _: None)))
    return [line.raw for line in found if isinstance(line, Line)], [line for line in found if isinstance(line, Reject)]


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
def test_packed_files_one_behind_the_other_are_one_input(put: Put, suffix: str, pack: Pack) -> None:
    half = len(CONTENT) // 2
    assert content_of(put(suffix, pack(CONTENT[:half]) + pack(b"") + pack(CONTENT[half:]))) == CONTENT


@PACKED
def test_a_packed_nothing_is_an_empty_input(put: Put, suffix: str, pack: Pack) -> None:
    assert read(put(suffix, pack(b""))) == ([], [])


def test_an_empty_file_is_an_empty_input(put: Put) -> None:
    assert read(put("txt", b"")) == ([], [])


@PACKED
def test_a_packed_file_without_a_byte_was_cut_short(put: Put, suffix: str, pack: Pack) -> None:
    found, (reject,) = read(put(suffix, b""))
    assert found == []
    assert "cut short or damaged (the file is empty)" in reject.reason


@STORED
def test_no_block_is_longer_than_asked_for(put: Put, suffix: str, pack: Pack) -> None:
    name = put(suffix, pack(b"z" * 100_000))
    assert {len(block) for block in ByteSource(name, lambda _: None).blocks(1000)} == {1000}


@PACKED
def test_the_whole_lines_of_a_truncated_file_go_through(put: Put, suffix: str, pack: Pack) -> None:
    packed = pack(CONTENT)
    found, (reject,) = read(put(suffix, packed[: len(packed) * 2 // 3]))
    assert 100 < len(found) < len(TEXTS)
    assert found == TEXTS[: len(found)]
    assert reject.origin.line == len(found) + 1
    assert "cut short or damaged" in reject.reason
    assert TEXTS[len(found)].startswith(reject.text.encode())


@PACKED
def test_a_file_that_lost_only_its_last_byte_gives_all_and_says_so(put: Put, suffix: str, pack: Pack) -> None:
    found, rejects = read(put(suffix, pack(b"a\nb\n")[:-1]))
    assert found == [b"a", b"b"][: len(found)]
    assert len(rejects) == 1


@pytest.mark.parametrize(
    ("suffix", "pack", "at", "value"),
    [("gz", gzip.compress, 10, 0x07), ("zst", zstd.compress, 4, 0x08)],  # block type 3; the reserved bit of a frame
)
def test_all_lines_before_impossible_data_go_through(put: Put, suffix: str, pack: Pack, at: int, value: int) -> None:
    impossible = bytearray(pack(b"never\n"))
    impossible[at] |= value
    found, (reject,) = read(put(suffix, pack(CONTENT) + impossible))
    assert found == TEXTS
    assert reject.origin.line == len(TEXTS) + 1
    assert "the compressed data is" in reject.reason


@pytest.mark.parametrize(("suffix", "pack"), [("gz", gzip.compress), ("zst", compress_with_checksum)])
def test_a_checksum_that_fails_is_told_once(put: Put, suffix: str, pack: Pack) -> None:
    damaged = bytearray(pack(CONTENT))
    damaged[-500_000] ^= 0xFF
    found, (reject,) = read(put(suffix, pack(CONTENT) + damaged + pack(CONTENT)))
    assert found[: len(TEXTS)] == TEXTS
    assert len(found) < 3 * len(TEXTS)
    assert reject.reason.startswith("reading ended here: ")


@PACKED
def test_what_is_not_packed_as_its_name_says_is_one_reject(put: Put, suffix: str, pack: Pack) -> None:
    found, (reject,) = read(put(suffix, b'{"run_name": "plain"}\n'))
    assert found == []
    assert reject.origin.line == 1


@PACKED
def test_garbage_behind_a_packed_file_is_one_reject(put: Put, suffix: str, pack: Pack) -> None:
    found, rejects = read(put(suffix, pack(b"a\n") + b"garbage, and no packed data"))
    assert (found, len(rejects)) == ([b"a"], 1)


def test_a_file_that_went_away_is_one_reject(tmp_path: Path) -> None:
    found, (reject,) = read(str(tmp_path / "gone.jsonl"))
    assert found == []
    assert "No such file" in reject.reason


def test_a_directory_in_place_of_a_file_is_a_break(tmp_path: Path) -> None:
    with pytest.raises(DamagedSourceError, match="Is a directory"):
        content_of(str(tmp_path))


@STORED
def test_every_stored_byte_is_counted(put: Put, suffix: str, pack: Pack) -> None:
    name = put(suffix, pack(CONTENT))
    counts: list[int] = []
    stored = ByteSource(name, counts.append)
    assert sum(map(len, stored.blocks(65_536))) == len(CONTENT)
    assert sum(counts) == Path(name).stat().st_size == stored.size


@STORED
def test_every_file_is_closed_whether_read_to_its_end_broken_or_left(put: Put, suffix: str, pack: Pack) -> None:
    before = open_descriptors()
    packed = pack(CONTENT)
    content_of(put(suffix, packed))
    read(put(suffix, packed[: len(packed) // 2]))
    blocks = ByteSource(put(suffix, packed), lambda _: None).blocks(1000)
    next(blocks)
    assert open_descriptors() > before
    del blocks
    assert open_descriptors() == before


def test_a_fifo_is_read_to_its_end_and_has_no_size(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(CONTENT,))
    writer.start()
    stored = ByteSource(str(path), lambda _: None)
    assert stored.size is None
    assert b"".join(stored.blocks(65_536)) == CONTENT
    writer.join()


def test_standard_input_is_read_and_left_open() -> None:
    here, there = os.pipe()
    os.write(there, b"a\nb")
    os.close(there)
    with as_standard_input(here):
        assert ByteSource("-", lambda _: None).size is None
        assert read("-") == ([b"a", b"b"], [])
        assert 0 in open_descriptors()


def test_a_pipe_gives_what_is_there_without_waiting_for_a_whole_block() -> None:
    here, there = os.pipe()
    with as_standard_input(here):
        blocks = ByteSource("-", lambda _: None).blocks(65_536)
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
        if event == "c_exception" and function is os.readv:
            sys.setprofile(None)
            os.write(there, b"late\n")
            os.close(there)

    with as_standard_input(here):
        sys.setprofile(write_once_a_read_found_nothing)
        try:
            assert read("-") == ([b"late"], [])
        finally:
            sys.setprofile(None)
