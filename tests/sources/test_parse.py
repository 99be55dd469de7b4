import json
import re
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestor.model.record import Job, Line, Origin, Reject
from ingestor.policy.identity import STAMP
from ingestor.sources.parse import parse_object, parse_record
from ingestor.sources.parse_strict import FIELDS, LONGEST_JOB_ID
from tests.support.records import SCOPE

HERE = Origin("runs.jsonl", 7)
FIRST_MILLISECOND = 100_000_000_000
LAST_MILLISECOND = 253_402_300_799_999
A_FLOAT = "must be whole milliseconds or an ISO 8601 time, not a number with a point or an exponent"


def is_filled(record: dict[str, object]) -> bool:
    """Whether a record says something."""
    return any(name == "start_time" or str(value or "").strip() for name, value in record.items())


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
TAGS = st.dictionaries(TEXT.filter(lambda key: key not in {"", STAMP}), TEXT)
RECORDS = st.fixed_dictionaries(
    {},
    optional={
        "job_id": TEXT.filter(bool),
        "experiment_id": TEXT.filter(bool),
        "run_name": TEXT,
        "start_time": st.just(0) | st.integers(FIRST_MILLISECOND, LAST_MILLISECOND),
        "tags": TAGS,
    },
).filter(is_filled)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.fixed_dictionaries({"key": inner}),
)
ALMOST_RECORDS = st.dictionaries(st.sampled_from(FIELDS) | st.text(), VALUES)


def parse(raw: bytes | str, *, cut: bool = False) -> Job | Reject:
    return parse_record(Line(HERE, raw.encode() if isinstance(raw, str) else raw, cut), SCOPE)


def job_of(record: object) -> Job:
    job = parse(json.dumps(record))
    assert isinstance(job, Job), job
    return job


def body_of(record: object) -> dict[str, object]:
    body: dict[str, object] = json.loads(job_of(record).body)
    return body


def reason_of(raw: bytes | str, *, cut: bool = False) -> str:
    reject = parse(raw, cut=cut)
    assert isinstance(reject, Reject), reject
    assert reject.origin == HERE
    return reject.reason


def as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"value": value, "key": key} for key, value in tags.items()]


@given(RECORDS, st.booleans())
def test_a_valid_record_means_the_same_as_the_body_of_its_job(record: dict[str, object], ascii_only: bool) -> None:
    raw = json.dumps(record, ensure_ascii=ascii_only).encode()
    job = parse(raw)
    assert isinstance(job, Job)
    given = {**record, "tags": dict(record.get("tags", {}))}  # type: ignore[call-overload]  # a mapping by its strategy
    key = given.pop("job_id", f"sha256:{job.digest.hex()}")
    body = json.loads(job.body)
    assert {**body, "tags": {tag["key"]: tag["value"] for tag in body["tags"]}} == given
    assert (job.key, job.experiment_id) == (key, record.get("experiment_id"))
    assert (job.raw, job.origin) == (raw, HERE)


@given(TAGS)
def test_tags_as_an_object_and_as_a_list_are_the_same(tags: dict[str, str]) -> None:
    assert job_of({"job_id": "a", "tags": tags}).body == job_of({"job_id": "a", "tags": as_list(tags)}).body


@given(st.binary() | VALUES.map(json.dumps).map(str.encode) | ALMOST_RECORDS.map(json.dumps).map(str.encode))
@example(b"\xef\xbb\xbf{}")
@example(b'{"start_time": 1e999}')
@example(b'{"start_time": ' + b"9" * 5000 + b"}")
def test_any_bytes_are_a_job_or_a_reject_with_their_text(raw: bytes) -> None:
    parsed = parse(raw)
    if isinstance(parsed, Reject):
        assert parsed.text == raw.decode(errors="backslashreplace")
        assert parsed.reason
        assert parsed.reason.isprintable()
        assert len(parsed.reason) <= 1001
    else:
        assert parsed.raw == raw


@given(st.text())
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59.999999-23:59")
@example("\ud800")
def test_any_text_for_a_time_is_parsed_or_rejected(text: str) -> None:
    assert isinstance(parse(json.dumps({"start_time": text})), Job | Reject)


@pytest.mark.parametrize("opening", [b"[", b'{"tags":', b'{"tags":[', b'{"run_name":['])
def test_no_depth_of_nesting_raises(opening: bytes) -> None:
    closing = opening.translate(bytes.maketrans(b"[{", b"]}"), b'":tagsrun_name')[::-1]
    for depth in [*range(1, 1200, 7), *range(900, 1010), 1_000_000]:
        assert isinstance(parse(opening * depth + b"[7]" + closing * depth), Reject)


NOTHING = "says nothing about a run: at least one of job_id, experiment_id, run_name, start_time, tags must be present"


@pytest.mark.parametrize(
    "raw",
    ["{}", " { } ", '{"run_name": ""}', '{"run_name": " \\n\\u2003"}', '{"tags": {}}', '{"run_name": "", "tags": []}'],
)
def test_an_object_that_says_nothing_is_rejected(raw: str) -> None:
    assert reason_of(raw) == f"{NOTHING} and not empty"
    rejected = parse_object(json.loads(raw), HERE, SCOPE)
    assert isinstance(rejected, Reject)
    assert rejected.reason == f"{NOTHING} and not empty"


@pytest.mark.parametrize(
    "record",
    [
        {"job_id": "a"},
        {"job_id": " ", "run_name": "", "tags": []},
        {"experiment_id": "7"},
        {"experiment_id": " "},
        {"run_name": "a"},
        {"run_name": "", "start_time": 0},
        {"tags": {"a": ""}},
    ],
)
def test_one_field_that_is_not_empty_makes_a_record(record: dict[str, object]) -> None:
    assert json.loads(job_of(record).raw) == record


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("{not json", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        ('{"run_name": "open', "not JSON: Unterminated string starting at character 14"),
        ('{"run_name": "a\0b"}', "not JSON: Invalid control character at character 16"),
        ("\0", "not JSON: Expecting value at character 1"),
        ("\ufeff{}", "not JSON: Expecting value at character 1"),
        ("{} {}", "not JSON: Extra data at character 4"),
        ('{"start_time": NaN}', "not JSON: NaN is not a JSON value"),
        ('{"start_time": -Infinity}', "not JSON: -Infinity is not a JSON value"),
        (b'{"run_name": "\xff"}', "not UTF-8: byte 15 of the line is 0xff"),
        (b"\xed\xa0\x80", "not UTF-8: byte 1 of the line is 0xed"),
        ("[]", "must be a JSON object, not a list; `jq -c '.[]'` makes one line of each entry"),
        ("17", "must be a JSON object, not a whole number"),
        ('"text"', "must be a JSON object, not a string"),
        ("null", "must be a JSON object, not null"),
        ("[" * 100_000, "not JSON that can be parsed: a number is too long, or the nesting is too deep"),
    ],
)
def test_a_line_that_is_no_json_object_is_rejected_with_what_it_is(raw: bytes | str, reason: str) -> None:
    assert reason_of(raw) == reason


def test_a_line_that_was_cut_is_rejected_with_any_beginning() -> None:
    assert reason_of('{"run_name": "aaa', cut=True).startswith("the line is longer than 17 bytes")
    assert reason_of("{}", cut=True).startswith("the line is longer than 2 bytes")


def test_a_line_of_5_mb_is_an_ordinary_record() -> None:
    assert body_of({"tags": {"notes": "x" * 5_000_000}})["tags"] == [{"key": "notes", "value": "x" * 5_000_000}]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (
            {"runname": "a"},
            "'runname': unknown field (known fields: job_id, experiment_id, run_name, start_time, tags)",
        ),
        (
            {"\x1b[2J\ud800": "a"},
            r"'\x1b[2J\ud800': unknown field (known fields: job_id, experiment_id, run_name, start_time, tags)",
        ),
        ({"job_id": ""}, "job_id: must not be empty; omit the field"),
        ({"job_id": 7}, "job_id: must be a string, not a whole number; put it in quotes"),
        ({"job_id": "a" * 501}, "job_id: must have at most 500 characters, but has 501"),
        ({"experiment_id": 7}, "experiment_id: must be a string, not a whole number; put it in quotes"),
        ({"experiment_id": None}, "experiment_id: must be a string, not null; omit the field"),
        ({"metrics": {}}, "metrics: is not supported yet; remove the field to create the run without it"),
        ({"experiment_id": ""}, "experiment_id: must not be empty; omit the field"),
        ({"run_name": ["a"]}, "run_name: must be a string, not a list"),
        ({"run_name": True}, "run_name: must be a string, not true or false"),
        ({"run_name": None}, "run_name: must be a string, not null; omit the field"),
        ({"run_name": "a\0b"}, "run_name: contains a NUL character"),
        ({"run_name": "\ud800"}, "run_name: contains half of a surrogate pair, which is not a character"),
        ({"run_name": "\udc00\ud800"}, "run_name: contains half of a surrogate pair, which is not a character"),
        ({"tags": None}, "tags: must be an object or a list, not null; omit the field"),
        ({"tags": "a"}, "tags: must be an object or a list, not a string"),
        ({"tags": {"a": {"b": "c"}}}, "tags: the value of 'a' must be a string, not an object"),
        ({"tags": {"a": ["b"]}}, "tags: the value of 'a' must be a string, not a list"),
        ({"tags": {"a": 1}}, "tags: the value of 'a' must be a string, not a whole number; put it in quotes"),
        ({"tags": {"a": None}}, "tags: the value of 'a' must be a string, not null; omit the field"),
        ({"tags": {"a": "\0"}}, "tags: the value of 'a' contains a NUL character"),
        ({"tags": {"\ud800": "a"}}, "tags: a key contains half of a surrogate pair, which is not a character"),
        ({"tags": {"": "a"}}, "tags: a key must not be empty"),
        ({"tags": [{"key": 1, "value": "a"}]}, "tags: a key must be a string, not a whole number; put it in quotes"),
        ({"tags": [{"key": "a"}]}, 'tags: entry 1 must be an object with only "key" and "value"'),
        ({"tags": [{"key": "a", "value": "b", "x": 1}]}, 'tags: entry 1 must be an object with only "key" and "value"'),
        ({"tags": [["a", "b"]]}, 'tags: entry 1 must be an object with only "key" and "value"'),
        ({"tags": as_list({"a": "1"}) * 2}, "tags: the key 'a' occurs twice"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_wrong(record: object, reason: str) -> None:
    assert reason_of(json.dumps(record)) == reason


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        ("1.5", A_FLOAT),
        (
            "1707431296765.0",
            f"{A_FLOAT}; write 1707431296765",
        ),
        (
            "1707431296.765",
            f"{A_FLOAT}; it seems to be in seconds: multiply it by 1,000",
        ),
        ("true", "must be whole milliseconds or an ISO 8601 time, not true or false"),
        ("null", "must be whole milliseconds or an ISO 8601 time, not null; omit the field"),
        ("-1", "must not be negative, but is -1"),
        ("1707431296", "1707431296 seems to be in seconds; give milliseconds"),
        ("99999999999", "99999999999 seems to be in seconds; give milliseconds"),
        ("253402300800000", "253402300800000 seems to be in microseconds or nanoseconds; give milliseconds"),
        ("9223372036854775807", "9223372036854775807 seems to be in microseconds or nanoseconds; give milliseconds"),
        ("9223372036854775808", "is too large for a 64-bit integer: 9223372036854775808"),
        ("9" * 1000, "is too large for a 64-bit integer: " + "9" * 60 + "…"),
        (
            '"2024-02-08T22:28:16"',
            "'2024-02-08T22:28:16' has no UTC offset; add Z for UTC, or an offset such as +02:00",
        ),
        (
            '"2024-02-08"',
            "'2024-02-08' has no time of the day and no UTC offset; write a time such as 2024-02-08T22:28:16.765Z",
        ),
        (
            '"20240208"',
            "'20240208' has no time of the day and no UTC offset; write a time such as 2024-02-08T22:28:16.765Z",
        ),
        ('"1707431296765"', "'1707431296765' is a number in quotes; remove the quotes and give whole milliseconds"),
        (
            '"1707431296"',
            "'1707431296' is a number in quotes, in seconds; remove the quotes and multiply it by 1,000",
        ),
        ('" -17.5e3 "', "' -17.5e3 ' is a number in quotes; remove the quotes and give whole milliseconds"),
        ('"2024020812228"', "'2024020812228' is a number in quotes; remove the quotes and give whole milliseconds"),
        ('""', "must not be empty; omit the field"),
        ('"yesterday"', "'yesterday' is not an ISO 8601 time such as 2024-02-08T22:28:16.765Z"),
        (
            '"2024-W06-4T22:28:16"',
            "'2024-W06-4T22:28:16' has no UTC offset; add Z for UTC, or an offset such as +02:00",
        ),
        ('"10000-01-01T00:00:00Z"', "'10000-01-01T00:00:00Z' is not an ISO 8601 time such as 2024-02-08T22:28:16.765Z"),
        (
            '"2024-02-30T00:00:00z"',
            "'2024-02-30T00:00:00z' is not a time that exists: day is out of range for month",
        ),
        (
            '"2024-02-08T22:28:60Z"',
            "'2024-02-08T22:28:60Z' is no leap second: a minute has 60 seconds except at 23:59 UTC",
        ),
        ('"\\u0000"', r"'\x00' is not an ISO 8601 time such as 2024-02-08T22:28:16.765Z"),
    ],
)
def test_a_wrong_start_time_is_rejected_with_its_fault(time: str, reason: str) -> None:
    assert reason_of(f'{{"start_time": {time}}}') == f"start_time: {reason}"


@pytest.mark.parametrize("time", [0, FIRST_MILLISECOND, LAST_MILLISECOND])
def test_milliseconds_are_kept_as_they_are(time: int) -> None:
    assert body_of({"start_time": time})["start_time"] == time


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - the offset is drawn separately
    st.integers(-1439, 1439),
)
def test_an_iso_time_is_its_milliseconds(time: datetime, offset: int) -> None:
    there = time.replace(tzinfo=timezone(timedelta(minutes=offset)))
    milliseconds = (there - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert body_of({"start_time": there.isoformat()})["start_time"] == milliseconds


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [
        ("2024-02-08T22:28:16.765Z", 1_707_431_296_765),
        ("2024-02-08t22:28:16.765z", 1_707_431_296_765),
        ("2024-02-08 22:28:16.765Z", 1_707_431_296_765),
        ("2024-02-08 22:28:16.765z", 1_707_431_296_765),
        ("2024-02-08T22:28:16.7659999999999999999999999Z", 1_707_431_296_765),
        ("2024-02-08t22:28:16.7651234567890123456789z", 1_707_431_296_765),
        ("2024-02-08T22:28:16.7Z", 1_707_431_296_700),
        ("2024-02-08T22:28:16-00:00", 1_707_431_296_000),
        ("2024-02-08T22:28:16+00:00", 1_707_431_296_000),
        ("2024-02-09T22:27:16.765+23:59", 1_707_431_296_765),
        ("1969-12-31T23:59:59.9999Z", -1),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140_000),
        ("9999-12-31T23:59:59.999Z", LAST_MILLISECOND),
        ("1990-12-31T23:59:60Z", 662_688_000_000),
        ("1990-12-31T15:59:60.25-08:00", 662_688_000_250),
        ("9999-12-31T23:59:60z", LAST_MILLISECOND + 1),
    ],
)
def test_every_time_of_rfc_3339_is_its_milliseconds(text: str, milliseconds: int) -> None:
    assert body_of({"start_time": text})["start_time"] == milliseconds


@pytest.mark.parametrize(
    "raw", ['{"run_name": "a", "run_name": "b"}', '{"tags": {"run_name": "a", "x": "c", "run_name": "b"}}']
)
def test_a_member_that_appears_twice_is_rejected(raw: str) -> None:
    assert reason_of(raw) == "'run_name' occurs twice in one object"


@pytest.mark.timeout(10)
def test_a_name_that_appears_twice_among_very_many_is_found_fast() -> None:
    members = ",".join(f'"{number}":""' for number in range(200_000))
    assert reason_of(f'{{"tags":{{{members},"199999":""}}}}') == "'199999' occurs twice in one object"


def test_the_tag_of_the_stamp_is_reserved() -> None:
    assert re.match(f"tags: the key '{STAMP}' is reserved", reason_of(json.dumps({"tags": {STAMP: "a"}})))


def test_a_reason_names_everything_that_is_wrong() -> None:
    record = {"a": 1, "run_name": 2, "start_time": -3, "tags": {"": "x", "b": 4, "c": "good", "d": 5}}
    reasons = reason_of(json.dumps(record)).split("; ")
    fields = [reason.partition(":")[0] for reason in reasons]
    assert [field for field in fields if field != "put it in quotes"] == [
        "'a'",
        "run_name",
        "start_time",
        "tags",
        "tags",
        "tags",
    ]


def test_a_reason_has_a_longest_length() -> None:
    reason = reason_of(json.dumps({f"field {number}": 1 for number in range(1000)}))
    assert len(reason) == 1001
    assert reason.endswith("…")


def test_a_reject_keeps_the_job_id_where_it_is_known() -> None:
    reject = parse('{"job_id": "run-7", "run_name": 7}')
    assert isinstance(reject, Reject)
    assert reject.job_id == "run-7"


def test_a_job_id_of_the_greatest_length_is_valid() -> None:
    assert job_of({"job_id": "é" * LONGEST_JOB_ID}).key == "é" * LONGEST_JOB_ID


def test_the_same_record_twice_is_the_same_job() -> None:
    first, again = (
        job_of({"run_name": "a", "tags": {"x": "1", "y": "2"}}),
        job_of({"tags": [{"key": "y", "value": "2"}, {"key": "x", "value": "1"}], "run_name": "a"}),
    )
    assert (first.key, first.digest, first.token) == (again.key, again.digest, again.token)


def test_a_job_id_with_another_body_is_the_same_key_and_another_digest() -> None:
    first, other = job_of({"job_id": "a", "run_name": "1"}), job_of({"job_id": "a", "run_name": "2"})
    assert (first.key, first.token) == (other.key, other.token)
    assert first.digest != other.digest


@given(RECORDS)
def test_an_object_is_the_same_job_as_its_json_text(record: dict[str, object]) -> None:
    parsed = [parse_object(it, HERE, SCOPE) for it in (record, json.dumps(record), json.dumps(record).encode())]
    assert [isinstance(it, Job) and (it.key, it.body, it.token, it.origin) for it in parsed] == [
        (job_of(record).key, job_of(record).body, job_of(record).token, HERE)
    ] * 3


@pytest.mark.parametrize("text", ['\ufeff{"job_id": "a"}', b'\xef\xbb\xbf\xef\xbb\xbf{"job_id": "a"}'])
def test_a_byte_order_mark_before_the_text_of_an_object_is_skipped(text: object) -> None:
    parsed = parse_object(text, HERE, SCOPE)
    assert isinstance(parsed, Job)
    assert (parsed.key, parsed.raw) == ("a", b'{"job_id": "a"}')


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"job_id": "a", "start_time": float("nan")}, "start_time: can't be written as JSON: Out of range float"),
        ({"job_id": "a", "tags": {"x": object()}}, "tags: can't be written as JSON: Object of type object"),
        ({"job_id": "a", "start_time": datetime(2024, 1, 1, tzinfo=UTC)}, "start_time: can't be written as JSON"),
        ({"job_id": "a", (1, 2): "x"}, "(1, 2): can't be written as JSON: keys must be str"),
        ({"job_id": "a", "\x1b": object()}, r"'\x1b': can't be written as JSON"),
        ({"job_id": "a", "run_name": 7}, "run_name: must be a string, not a whole number"),
        ({"job_id": "a", "run_name": "\ud800"}, "run_name: contains half of a surrogate pair"),
    ],
)
def test_an_object_that_is_no_record_is_rejected_with_the_field(record: object, reason: str) -> None:
    reject = parse_object(record, HERE, SCOPE)
    assert isinstance(reject, Reject)
    assert (reject.reason[: len(reason)], reject.job_id, reject.origin) == (reason, "a", HERE)
    assert reject.text


@pytest.mark.parametrize("record", [None, 7, ["a"], object(), ({"run_name": "a"},)])
def test_what_is_neither_an_object_nor_text_is_rejected_with_its_type(record: object) -> None:
    reject = parse_object(record, HERE, SCOPE)
    assert isinstance(reject, Reject)
    assert reject.reason == f"must be a mapping, or JSON text, not {type(record).__name__}"


def test_an_object_that_contains_itself_is_rejected() -> None:
    tags: dict[str, object] = {}
    tags["tags"] = tags
    reject = parse_object({"tags": tags}, HERE, SCOPE)
    assert isinstance(reject, Reject)
    assert reject.reason == "tags: can't be written as JSON: Circular reference detected"


@pytest.mark.parametrize("text", ["{not json", "", "\ud800", b"\xff"])
def test_text_that_is_no_record_is_rejected(text: object) -> None:
    assert isinstance(parse_object(text, HERE, SCOPE), Reject)
