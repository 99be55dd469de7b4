"""The fast path makes the same job as the strict parser, and accepts no more."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingestor.model.record import Line, Origin, Reject
from ingestor.policy.identity import STAMP, identify, make_job
from ingestor.simulator.sample import records
from ingestor.sources.parse import parse_fast
from ingestor.sources.parse_strict import FIELDS, parse_strict
from tests.support.records import SCOPE

HERE = Origin("runs.jsonl", 7)
USUAL = {
    "job_id": "1/a:b",
    "experiment_id": "1",
    "run_name": 'naïve "run" 逻辑 \U0001f680',
    "start_time": 1_707_431_296_765,
    "tags": {"z:": "C:\\a\n", "a": "", "\x7f": "\u2028"},
}


def assert_the_same(raw: bytes, *, cut: bool = False) -> None:
    line = Line(HERE, raw, cut)
    fast = parse_fast(line)
    if fast is not None:
        strict = parse_strict(line)
        assert not isinstance(strict, Reject), strict.reason
        assert identify(line, *fast, SCOPE) == make_job(line, *strict, SCOPE)


def is_fast(record: object, *, ascii_only: bool = False) -> bool:
    line = Line(HERE, json.dumps(record, ensure_ascii=ascii_only).encode())
    assert_the_same(line.raw)
    return parse_fast(line) is not None


SPECIAL = '"\\/:,{}[]\0\x01\n\t\x1f\x7fuaé\u2028\ud7ff\ue000\U0001f680'
TEXT = st.text(st.sampled_from(SPECIAL) | st.characters(), max_size=6)
STRING = st.builds(lambda text, ascii_only: json.dumps(text, ensure_ascii=ascii_only), TEXT, st.booleans()) | st.builds(
    lambda text: '"' + "".join(f"\\u{ord(char) & 0xFFFF:04X}" for char in text) + '"', TEXT
)
NUMBERS = (
    "1700000000000 1700000000000.0 17e11 1.7E+12 0 -0 -1 99999999999 100000000000 253402300799999 253402300800000"
    " 1700000000 01 1e400 999999999999999999999999999999 NaN Infinity"
)
NUMBER = st.integers().map(str) | st.sampled_from(NUMBERS.split())
NAME = st.sampled_from([f'"{name}"' for name in (*FIELDS, "key", "value", STAMP, "", "end_time")]) | STRING
SPACE = st.sampled_from(["", "", "", " ", "\t", "\r", "\x0b", "\ufeff"])


def an_object(name: st.SearchStrategy[str], value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    member = st.tuples(SPACE, name, SPACE, value).map(lambda it: f"{it[0]}{it[1]}{it[2]}:{it[3]}")
    return st.lists(member, max_size=6).map(lambda members: "{" + ",".join(members) + "}")


def a_list(value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(value, max_size=4).map(lambda values: "[" + ",".join(values) + "]")


A_TAG = st.tuples(STRING, STRING).map(lambda it: f'{{"value": {it[0]}, "key":{it[1]}}}')
ATOM = st.sampled_from(["null", "true", "{}", "[]"]) | NUMBER | STRING
VALUE = ATOM | an_object(NAME, ATOM) | an_object(STRING, STRING) | a_list(A_TAG) | a_list(A_TAG | ATOM)
ALMOST = st.builds(lambda before, it, after: f"{before}{it}{after}", SPACE, an_object(NAME, VALUE), SPACE)
RECORD = st.builds(
    lambda members: "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}",
    st.fixed_dictionaries(
        {},
        optional={
            "job_id": STRING,
            "experiment_id": STRING,
            "run_name": STRING,
            "start_time": NUMBER,
            "tags": an_object(STRING, STRING) | a_list(A_TAG),
        },
    ),
)


@given(ALMOST | RECORD)
@settings(max_examples=500)
@example('{"run_name":"a","run_name":"b"}')
@example('{"run_name":"b","run_name":"\\u003a"}')
@example('{"tags":{"a":"b","a":"\\u003A"}}')
@example('{"tags":[{"key":"a","key":"b","value":"c"}]}')
@example('{"tags":[{"key":"a","value":"b"},{"key":"a","value":"c"}]}')
@example('{"start_time":1700000000000.0}')
@example('{"start_time":170000000000e1}')
@example('{"run_name":"\\u0000"}')
@example('{"run_name":"\\ud800"}')
@example('{"job_id":""}')
@example('{"tags":{"":"a"}}')
@example(f'{{"tags":{{"{STAMP}":"a"}}}}')
@example('{"job_id":"' + "é" * 500 + '"}')
@example('{"job_id":"' + "é" * 501 + '"}')
@example("{}")
@example('{"run_name":"","tags":[]}')
@example('{"run_name":"\\u2003 ","tags":{}}')
@example('{"tags":' * 100_000)
def test_the_strict_parser_makes_the_same_job_of_a_line_that_the_fast_path_accepts(text: str) -> None:
    assert_the_same(text.encode("utf-8", "surrogatepass"))


@given(RECORD, st.data())
@settings(max_examples=300)
def test_the_same_holds_for_damaged_lines(text: str, data: st.DataObject) -> None:
    raw = bytearray(text.encode("utf-8", "surrogatepass"))
    start = data.draw(st.integers(0, len(raw)))
    raw[start : start + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    assert_the_same(bytes(raw))


@given(st.binary())
def test_the_same_holds_for_any_bytes(raw: bytes) -> None:
    assert_the_same(raw)


def test_the_beginning_of_a_line_that_was_cut_does_not_take_the_fast_path() -> None:
    assert parse_fast(Line(HERE, b"{}", cut=True)) is None


@pytest.mark.parametrize("without", [(), *((name,) for name in USUAL)])
def test_usual_records_take_the_fast_path(without: tuple[str, ...]) -> None:
    assert is_fast({name: value for name, value in USUAL.items() if name not in without})


def test_tags_take_the_fast_path_in_either_form() -> None:
    assert is_fast({"tags": [{"key": "b", "value": "x"}, {"value": "y", "key": "a"}]})
    assert is_fast({"tags": {"b": "x", "a": "y"}})
    assert is_fast({"job_id": "a", "tags": []})


def test_escaped_text_takes_the_fast_path() -> None:
    assert is_fast({"run_name": "逻辑 \U0001f680"}, ascii_only=True)


def test_nearly_all_records_of_the_sample_take_the_fast_path() -> None:
    assert sum(map(is_fast, records(500))) > 0.97 * 500
