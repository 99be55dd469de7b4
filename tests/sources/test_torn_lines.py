"""A line that a kill tore between two processes is whole again where the next one reads on."""

import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestor.model.record import Job, Line, Reject
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.lines import LONGEST
from ingestor.sources.record import parse_line
from ingestor.sources.seams import whole_lines
from ingestor.sources.spool import Spool
from tests.support.records import SCOPE

RECORDS = [json.dumps({"job_id": f"job {number}", "run_name": "x" * number}).encode() for number in range(8)]
TEXT = b"".join(record + b"\n" for record in RECORDS)


def ignore(count: int) -> None:
    """Do not count."""


def is_record(line: Line) -> bool:
    return isinstance(parse_line(line, SCOPE), Job)


def left(folder: Path, *texts: bytes) -> Sequence[ByteSource]:
    """Keep standard input as killed processes left it."""
    spool = Spool(folder, SCOPE)
    spool._folder.mkdir(parents=True)
    for number, text in enumerate(texts):
        (spool._folder / f"stdin-{number}-1.jsonl").write_bytes(text)
    return spool.leftovers(ignore)


def found(inputs: Sequence[ByteSource]) -> Iterator[Line | Reject]:
    return itertools.chain.from_iterable(whole_lines(inputs, is_record))


def told(inputs: Sequence[ByteSource]) -> list[bytes]:
    return [it.raw if isinstance(it, Line) else it.text.encode() for it in found(inputs)]


@given(cuts=st.lists(st.integers(0, len(TEXT)), max_size=6).map(sorted), ends=st.booleans())
def test_wherever_one_stream_is_cut_its_records_are_read(cuts: list[int], ends: bool) -> None:
    text = TEXT if ends else TEXT.removesuffix(b"\n")
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    with TemporaryDirectory() as folder:
        assert told(left(Path(folder), *pieces)) == RECORDS


@given(cut=st.integers(1, len(RECORDS[0]) - 1))
def test_what_a_new_producer_writes_is_never_joined_to_the_rest_of_an_old_one(cut: int) -> None:
    with TemporaryDirectory() as folder:
        assert told(left(Path(folder), RECORDS[0][:cut], TEXT)) == [RECORDS[0][:cut], *RECORDS]


def test_what_is_no_record_together_either_stays_two_lines(tmp_path: Path) -> None:
    assert told(left(tmp_path, b'{"run_name": ', b"nonsense\n" + TEXT)) == [b'{"run_name": ', b"nonsense", *RECORDS]


def test_a_line_is_told_of_where_it_began(tmp_path: Path) -> None:
    inputs = left(tmp_path, TEXT + RECORDS[0][:5], RECORDS[0][5:] + b"\n")
    *_, last = found(inputs)
    assert isinstance(last, Line)
    assert (last.raw, last.origin.line) == (RECORDS[0], 9)


def test_the_beginning_of_a_line_is_never_joined_to_a_file(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes(RECORDS[0][5:] + b"\n")
    inputs = [*left(tmp_path, RECORDS[0][:5]), ByteSource(str(tmp_path / "runs.jsonl"), ignore)]
    assert told(inputs) == [RECORDS[0][:5], RECORDS[0][5:]]


def test_a_source_that_is_lost_ends_what_was_begun(tmp_path: Path) -> None:
    inputs = left(tmp_path, RECORDS[0][:5], RECORDS[0][5:] + b"\n")
    (tmp_path / "gone").mkdir()
    lost = ByteSource("-", ignore, path=str(tmp_path / "gone"))
    first, reject, *rest = found([inputs[0], lost, inputs[1]])
    assert isinstance(first, Line)
    assert isinstance(reject, Reject)
    assert len(rest) == 1


def test_a_record_whose_middle_is_missing_is_never_joined_to_its_end(tmp_path: Path) -> None:
    """Of a piece that is longer than a line may be, only the beginning is kept."""
    began, end = b'{"run_name": "' + b"x" * (LONGEST + 100), b'y"}\n'
    first, last = found(left(tmp_path, began, end))
    assert isinstance(first, Line)
    assert isinstance(last, Line)
    assert (first.cut, last.raw) == (True, b'y"}')


def test_pieces_that_are_too_long_together_are_not_joined(tmp_path: Path) -> None:
    half = LONGEST // 2
    pieces = (b'{"run_name": "' + b"x" * half, b"y" * half, b'z"}')
    assert [len(text) for text in told(left(tmp_path, *pieces))] == [14 + half, half, 3]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"  \n"], ids=["a line end", "CRLF", "a blank line"])
def test_nothing_is_joined_across_a_line_end(tmp_path: Path, end: bytes) -> None:
    assert told(left(tmp_path, b'{"run_name": "a', end + b'b"}\n')) == [b'{"run_name": "a', b'b"}']


SPECIAL = json.dumps({"run_name": "\ufeff  \ufeffx   "}, ensure_ascii=False).encode()
STREAM = b"\xef\xbb\xbf" + SPECIAL + b"\r\n" + SPECIAL + b"\n"


@example(cuts=[1, 3])
@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=6).map(sorted))
def test_byte_order_marks_and_blanks_in_a_torn_line_are_kept(cuts: list[int]) -> None:
    pieces = [STREAM[start:end] for start, end in itertools.pairwise([0, *cuts, len(STREAM)])]
    with TemporaryDirectory() as folder:
        assert told(left(Path(folder), *pieces)) == [SPECIAL, SPECIAL]


def test_a_carriage_return_in_a_torn_line_is_no_line_end(tmp_path: Path) -> None:
    assert told(left(tmp_path, b'{"run_name": "a\r', b'b"}\n')) == [b'{"run_name": "a', b'b"}']


def test_a_new_producer_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    assert told(left(tmp_path, b'{"run_na', b"\xef\xbb\xbf" + TEXT)) == [b'{"run_na', *RECORDS]
