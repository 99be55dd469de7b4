"""Compressed standard input is kept as the text that it means, so that positions and segments are those of lines."""

import bz2
import gzip
import lzma
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from backports import zstd

from ingestor.model.record import Reject
from ingestor.model.sources import Checkpoint, SourceEnd
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.spool import Spool
from ingestor.sources.standard_input import StandardInput
from ingestor.sources.streams import STANDARD_INPUT
from tests.sources.standard_input import piped, standard_input, texts
from tests.support.records import SCOPE

Pack = Callable[[bytes], bytes]
RECORDS = [b'{"job_id":"%d"}' % number for number in range(1000)]
TEXT = b"\n".join(RECORDS) + b"\n"
EACH = pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, zstd.compress])


@contextmanager
def fed(pieces: list[bytes]) -> Iterator[None]:
    """Make standard input a pipe that another thread writes to, piece by piece."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            for piece in pieces:
                pipe.write(piece)

    writer = threading.Thread(target=write)
    with standard_input(reading):
        os.close(reading)
        writer.start()
        try:
            yield
        finally:
            writer.join()


def spool(folder: Path, size: int = 2**20) -> Spool:
    return Spool(folder, SCOPE, segment_size=size)


@EACH
@pytest.mark.parametrize("segment_size", [100, 1000, 2**20])
def test_compressed_input_gives_its_lines_and_segments_of_text(tmp_path: Path, pack: Pack, segment_size: int) -> None:
    with piped(pack(TEXT)):
        chunks = list(spool(tmp_path, segment_size).standard_input().read())
    assert (texts(chunks), chunks[-1].end) == (RECORDS, SourceEnd.COMPLETE)
    segments = spool(tmp_path).segments()
    assert b"".join(it.path.read_bytes() for it in segments) == TEXT
    assert all(it.path.stat().st_size < 2 * segment_size for it in segments)


@EACH
def test_reading_continues_after_every_position_of_compressed_input(tmp_path: Path, pack: Pack) -> None:
    with piped(pack(TEXT)):
        chunks = list(spool(tmp_path, 1000).standard_input().read())
    assert len(chunks) > 3
    for index, chunk in enumerate(chunks):
        again = list(spool(tmp_path).kept(is_end=True).read(chunk.position))
        assert texts(chunks[: index + 1]) + texts(again) == RECORDS


@EACH
def test_compressed_input_that_comes_byte_by_byte_is_recognized(tmp_path: Path, pack: Pack) -> None:
    packed = pack(TEXT)
    with fed([packed[:1], packed[1:2], packed[2:9], packed[9:]]):
        chunks = list(spool(tmp_path).standard_input().read())
    assert (texts(chunks), chunks[-1].end) == (RECORDS, SourceEnd.COMPLETE)


@pytest.mark.parametrize("text", [b"BZh9", b"\x1f", b"P", b"]", b"(", b"x"])
def test_what_only_begins_like_compressed_data_is_read_as_it_is(tmp_path: Path, text: bytes) -> None:
    with piped(text):
        chunks = list(spool(tmp_path).standard_input().read())
    assert texts(chunks) == [text.decode(errors="backslashreplace").encode()]


@EACH
def test_a_line_of_text_is_passed_on_before_more_comes(tmp_path: Path, pack: Pack) -> None:
    reading, writing = os.pipe()
    with standard_input(reading):
        os.close(reading)
        chunks = spool(tmp_path).standard_input().read()
        os.write(writing, pack(RECORDS[0] + b"\n") + pack(RECORDS[1]))
        assert texts([next(chunks)]) == RECORDS[:1]
        os.close(writing)
        assert texts(list(chunks)) == RECORDS[1:2]


@EACH
def test_nothing_of_a_compressed_input_that_was_cut_short_is_kept_once_it_is_done(tmp_path: Path, pack: Pack) -> None:
    packed = pack(TEXT)
    with piped(packed[: len(packed) * 2 // 3]):
        owner = spool(tmp_path)
        chunks = list(owner.standard_input().read())
    last = [it for it in chunks if it.records][-1].records[-1]
    assert isinstance(last, Reject)
    assert "cut short or damaged (its end is missing)" in last.reason
    assert chunks[-1].end is SourceEnd.DAMAGED
    owner.acknowledge(Checkpoint(STANDARD_INPUT, chunks[-1].position, end=SourceEnd.DAMAGED))
    assert owner.is_empty


def test_the_rest_of_a_pipe_is_plain_after_plain_text(tmp_path: Path) -> None:
    with piped(TEXT + gzip.compress(TEXT)):
        chunks = list(spool(tmp_path).standard_input().read())
    assert texts(chunks)[:1000] == RECORDS
    assert all(isinstance(it, Reject) for chunk in chunks for it in chunk.records[1000:])


def test_a_standard_input_that_can_not_be_read_is_damaged_and_not_full_storage(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with (
        standard_input(descriptor),
        (tmp_path / "kept").open("w+b") as file,
        pytest.raises(DamagedSourceError, match="Is a directory"),
    ):
        StandardInput().move(file.fileno(), 1000)
    os.close(descriptor)
