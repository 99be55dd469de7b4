"""A line that a kill tore between two processes is whole again where the next process reads on."""

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestor.model.record import Job, Reject
from ingestor.model.sources import Chunk, Source, SourceEnd
from ingestor.sources.lines import LONGEST
from ingestor.sources.locate import source_of
from ingestor.sources.reader import RecordSource, read_sources
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT
from tests.sources.standard_input import piped, texts
from tests.support.records import SCOPE

RECORDS = [json.dumps({"job_id": f"job {number}", "run_name": "x" * number}).encode() for number in range(8)]
TEXT = b"".join(record + b"\n" for record in RECORDS)


def keep(folder: Path, *streams: bytes) -> Spool:
    """Keep standard input as killed processes left it."""
    spool = Spool(folder, SCOPE)
    spool.folder.mkdir(parents=True)
    for number, text in enumerate(streams, 1):
        (spool.folder / f"stdin-s{number:012}-of-{number:012}-line-1.jsonl").write_bytes(text)
    return spool


def chunks(spool: Spool) -> list[Chunk]:
    return list(spool.kept(is_end=True).read())


def read(folder: Path, *streams: bytes) -> list[bytes]:
    return texts(chunks(keep(folder, *streams)))


def write(folder: Path, content: bytes) -> Source:
    (folder / "runs.jsonl").write_bytes(content)
    return source_of(str(folder / "runs.jsonl"))


@contextmanager
def new_folder() -> Iterator[Path]:
    with TemporaryDirectory() as folder:
        yield Path(folder)


@given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=6).map(sorted), ends=st.booleans())
def test_wherever_one_stream_is_cut_its_records_are_read(cuts: list[int], ends: bool) -> None:
    text = TEXT if ends else TEXT.removesuffix(b"\n")
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    with new_folder() as folder:
        assert read(folder, *pieces) == RECORDS


@given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=3).map(sorted))
def test_the_last_process_may_be_this_one(cuts: list[int]) -> None:
    *kept, last = [TEXT[start:end] for start, end in itertools.pairwise([0, *cuts, len(TEXT)])]
    with new_folder() as folder, piped(last):
        spool = keep(folder, *kept)
        parts: list[RecordSource] = [spool.kept(is_end=False), spool.standard_input()]
        found = [chunk for part in parts for chunk in part.read(None)]
    assert texts(found) == RECORDS
    assert found[-1].end is SourceEnd.COMPLETE


@given(cut=st.integers(1, len(RECORDS[0]) - 1))
def test_what_a_new_producer_writes_is_never_joined_to_the_rest_of_an_old_one(cut: int) -> None:
    with new_folder() as folder:
        assert read(folder, RECORDS[0][:cut], TEXT) == [RECORDS[0][:cut], *RECORDS]


def test_blanks_that_were_read_before_a_record_are_no_part_of_it(tmp_path: Path) -> None:
    assert read(tmp_path, TEXT + b"  ", TEXT) == RECORDS * 2


def test_pieces_that_make_no_record_together_stay_two_lines(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"run_name": ', b"nonsense\n" + TEXT) == [b'{"run_name": ', b"nonsense", *RECORDS]


def test_a_joined_line_has_the_place_where_it_began(tmp_path: Path) -> None:
    spool = keep(tmp_path, TEXT + RECORDS[0][:5], RECORDS[0][5:] + b"\n")
    *_, last = [record for chunk in chunks(spool) for record in chunk.records]
    assert isinstance(last, Job)
    assert (last.raw, last.origin.line) == (RECORDS[0], 9)


async def test_the_beginning_of_a_line_is_never_joined_to_a_file(tmp_path: Path) -> None:
    file = write(tmp_path, RECORDS[0][5:] + b"\n")
    reader = read_sources([file], SCOPE, keep(tmp_path / "state", RECORDS[0][:5]))
    found = [chunk async for chunk in reader.chunks()]
    assert texts(found) == [RECORDS[0][:5], RECORDS[0][5:]]


@pytest.mark.parametrize("is_between", [True, False], ids=["a file between", "no file"])
async def test_a_file_that_is_read_between_does_not_part_a_line(tmp_path: Path, is_between: bool) -> None:
    sources = [write(tmp_path, b"[1]\n"), STANDARD_INPUT] if is_between else [STANDARD_INPUT]
    reader = read_sources(sources, SCOPE, keep(tmp_path / "state", RECORDS[0][:5]))
    with piped(RECORDS[0][5:] + b"\n"):
        found = [chunk async for chunk in reader.chunks()]
    assert texts(found) == [b"[1]"] * is_between + [RECORDS[0]]


def test_a_segment_that_is_lost_ends_what_was_begun(tmp_path: Path) -> None:
    spool = keep(tmp_path, RECORDS[0][:5], b"", RECORDS[0][5:] + b"\n", TEXT)
    lost = spool.segments()[1].path
    lost.unlink()
    lost.mkdir()
    found = chunks(spool)
    begun, reject, rest, *records = [record for chunk in found for record in chunk.records]
    assert [it.text.encode() for it in (begun, rest) if isinstance(it, Reject)] == [RECORDS[0][:5], RECORDS[0][5:]]
    assert isinstance(reject, Reject)
    assert reject.reason.startswith("reading ended here: Is a directory")
    assert len(records) == len(RECORDS)
    assert found[-1].end is SourceEnd.DAMAGED
    before = '{"segment":1,"offset":0,"line":1}'  # nothing from the line that was begun on counts as read
    assert {chunk.position for chunk in found} == {before}


def test_a_record_whose_middle_is_missing_is_never_joined_to_its_end(tmp_path: Path) -> None:
    """Only the beginning of a piece is kept that is longer than a line may be."""
    first, last = read(tmp_path, b'{"run_name": "' + b"x" * (LONGEST + 100), b'y"}\n')
    assert (len(first), last) == (LONGEST, b'y"}')


def test_pieces_that_are_too_long_together_are_not_joined(tmp_path: Path) -> None:
    half = LONGEST // 2
    pieces = (b'{"run_name": "' + b"x" * half, b"y" * half, b'z"}')
    assert [len(text) for text in read(tmp_path, *pieces)] == [14 + half, half, 3]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"  \n"], ids=["a line end", "CRLF", "a blank line"])
def test_nothing_is_joined_across_a_line_end(tmp_path: Path, end: bytes) -> None:
    assert read(tmp_path, b'{"run_name": "a', end + b'b"}\n') == [b'{"run_name": "a', b'b"}']


SPECIAL = json.dumps({"run_name": "\ufeff  \ufeffx   "}, ensure_ascii=False).encode()
STREAM = b"\xef\xbb\xbf" + SPECIAL + b"\r\n" + SPECIAL + b"\n"


@example(cuts=[1, 3])
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=6).map(sorted))
def test_byte_order_marks_and_blanks_in_a_torn_line_are_kept(cuts: list[int]) -> None:
    pieces = [STREAM[start:end] for start, end in itertools.pairwise([0, *cuts, len(STREAM)])]
    with new_folder() as folder:
        assert read(folder, *pieces) == [SPECIAL, SPECIAL]


def test_a_carriage_return_in_a_torn_line_is_no_line_end(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"run_name": "a\r', b'b"}\n') == [b'{"run_name": "a', b'b"}']


def test_a_new_producer_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path, b'{"run_na', b"\xef\xbb\xbf" + TEXT) == [b'{"run_na', *RECORDS]


def test_the_position_stays_before_a_line_that_waits_for_its_rest(tmp_path: Path) -> None:
    spool = keep(tmp_path, TEXT + RECORDS[0][:5])
    (before,) = spool.kept(is_end=False).read()
    (tmp_path / "later").mkdir()
    assert texts(list(keep(tmp_path / "later", TEXT + RECORDS[0] + b"\n").kept(is_end=True).read(before.position))) == [
        RECORDS[0]
    ]
