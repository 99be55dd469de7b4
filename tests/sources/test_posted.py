"""A body is read like a file with the same lines, in bounded memory and time."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.model.acceptance import LARGEST, NotAcceptedError, Posted, Refusal
from ingestor.model.record import Job, Reject
from ingestor.sources.locate import locate
from ingestor.sources.posted import MOST_LINES, MOST_LISTED, parse_posted
from ingestor.sources.reader import read_sources
from tests.support.records import SCOPE

A, B = b'{"job_id":"a"}', b'{"job_id":"b"}'


def refused(body: bytes, *, is_gzip: bool = False) -> tuple[Refusal, str]:
    with pytest.raises(NotAcceptedError) as error:
        parse_posted(body, SCOPE, is_gzip=is_gzip)
    return error.value.refusal, str(error.value)


def test_good_lines_are_accepted_and_the_others_have_their_number_and_reason() -> None:
    posted = parse_posted(b"\xef\xbb\xbf" + A + b"\r\n\n  \n[]\n" + B + b'\n{"job_id": 7}', SCOPE)
    assert posted.lines == [A, B]
    assert [(it.line, it.reason.partition(",")[0]) for it in posted.rejected] == [
        (4, "must be a JSON object"),
        (6, "job_id: must be a string"),
    ]


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [A, B, A + b"\r", b"", b"  ", b"[]", b"null", b"\xff", b'{"job_id":1}', b'{"tags":{"a":1}}', b"{" * 2000]
        ),
        st.text(max_size=20).filter(lambda text: "\n" not in text).map(str.encode),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(TEXTS)
async def test_the_reasons_are_those_of_a_file_with_the_same_lines(texts: list[bytes]) -> None:
    """A first line that can be read: another format is the matter of a whole file."""
    body = b"\n".join([A, *texts])
    posted = parse_posted(body, SCOPE)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "runs.jsonl"
        path.write_bytes(body)
        reader = read_sources(locate([str(path)]).sources, SCOPE)
        records = [record async for chunk in reader.chunks() for record in chunk.records]
    assert posted.lines == [it.raw for it in records if isinstance(it, Job)]
    rejects = [(it.origin.line, it.reason) for it in records if isinstance(it, Reject)]
    assert [(it.line, it.reason) for it in posted.rejected] == rejects


@pytest.mark.parametrize("indent", [1, 4])
def test_one_record_may_be_printed_over_several_lines(indent: int) -> None:
    record = {"job_id": "a", "run_name": "two\nlines", "tags": {"k": "v"}}
    posted = parse_posted(json.dumps(record, indent=indent).replace("\n", "\r\n").encode() + b"\n", SCOPE)
    assert [json.loads(line) for line in posted.lines] == [record]
    assert b"\n" not in posted.lines[0]


def test_a_wrong_record_over_several_lines_has_one_reason() -> None:
    posted = parse_posted(json.dumps({"job_id": "a", "wrong": 1}, indent=2).encode(), SCOPE)
    (rejected,) = posted.rejected
    assert (posted.lines, rejected.line) == ([], 1)
    assert rejected.reason.startswith("'wrong': unknown field")


@pytest.mark.parametrize("body", [b"", b"\n \r\n"])
def test_a_body_may_hold_nothing(body: bytes) -> None:
    assert parse_posted(body, SCOPE) == Posted([], [])
    assert parse_posted(gzip.compress(body, mtime=0), SCOPE, is_gzip=True) == Posted([], [])


def test_gzip_data_may_have_several_parts_of_any_size() -> None:
    parts = [A + b"\n", b"", json.dumps({"job_id": "c", "run_name": "x" * 200_000}).encode() + b"\n", B]
    body = b"".join(map(gzip.compress, parts))
    assert parse_posted(body, SCOPE, is_gzip=True) == parse_posted(b"".join(parts), SCOPE)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (A, "incorrect header check"),
        (b"", "its end is missing"),
        (gzip.compress(A, mtime=0)[:-1], "its end is missing"),
        (gzip.compress(A, mtime=0)[:-8] + bytes(8), "incorrect data check"),
        (gzip.compress(A, mtime=0) + b"\0", "its end is missing"),
        (gzip.compress(A, mtime=0) + b"what follows", "incorrect header check"),
        (gzip.compress(b"", mtime=0) * 1001, "it has more than 1,000 parts"),
    ],
)
def test_damaged_gzip_data_is_refused_as_a_whole(body: bytes, why: str) -> None:
    refusal, reason = refused(body, is_gzip=True)
    assert refusal is Refusal.DAMAGED
    assert reason.startswith("the body is not valid gzip data: ")
    assert why in reason


def test_a_body_is_as_large_as_allowed_or_refused() -> None:
    largest = A + b" " * (LARGEST - len(A))
    assert parse_posted(largest, SCOPE).lines == [largest]
    assert refused(largest + b" ") == (
        Refusal.TOO_LARGE,
        "the body has more than 16,777,216 bytes: send the records in several requests",
    )


@pytest.mark.parametrize("parts", [1, 40])
def test_a_body_that_becomes_too_large_is_refused_before_it_does(parts: int) -> None:
    body = gzip.compress(bytes(LARGEST * 40 // parts), compresslevel=1) * parts
    assert len(body) < LARGEST
    assert refused(body, is_gzip=True)[0] is Refusal.TOO_LARGE


def test_a_body_has_a_bounded_number_of_lines() -> None:
    assert parse_posted(b"\n" * MOST_LINES, SCOPE) == Posted([], [])
    assert refused(b"\n" * (MOST_LINES + 1)) == (
        Refusal.TOO_LARGE,
        "the body has more than 100,000 lines: send the records in several requests",
    )


def test_a_bounded_number_of_rejected_lines_is_listed() -> None:
    posted = parse_posted(b"x\n" * (MOST_LISTED + 5) + A, SCOPE)
    assert (len(posted.rejected), posted.not_listed, posted.lines) == (MOST_LISTED, 5, [A])
