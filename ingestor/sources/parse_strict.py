"""The complete record format: a line is parsed, or a reject names everything that is wrong with it."""

import json
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from datetime import datetime, timedelta
from typing import NoReturn, TypeVar

from ingestor.model.record import Line, Reject, RunDetails
from ingestor.policy.identity import STAMP

FIELDS = ("job_id", "experiment_id", "run_name", "start_time", "tags")

LONGEST_JOB_ID = 500
EARLIEST = 10**11
"""A smaller time is before March 1973 in milliseconds. In seconds it reaches the year 5138."""
LATEST = 253_402_300_799_999
"""The end of the year 9999, in milliseconds."""

Record = tuple[str | None, RunDetails]
"""A record's `job_id`, and the details of its run."""

_T = TypeVar("_T")

_NOT_YET = frozenset({"params", "metrics", "end_time", "status"})
_GZIP = b"\x1f\x8b"
_BEGINNINGS = frozenset({"{", "["})  # first lines of JSON that is printed over several lines
_ONE_A_LINE = "; a record must be on one line (`jq -c .` writes it so)"

_INT64_MAX = 2**63 - 1
_SHOWN = 60  # characters of a value in a reason
_LONGEST_REASON = 1000


class _ProblemError(ValueError):
    """What is wrong with one field."""


def parse_strict(line: Line) -> Record | Reject:
    """Parse a line, or return a reject that names everything that is wrong with it. Never raises."""
    try:
        record = _load(_decode(line))
    except _ProblemError as problem:
        return _reject(line, str(problem))
    job_id, details, problems = _read(record)
    if problems:
        return _reject(line, "; ".join(problems), job_id)
    return job_id, details


def _decode(line: Line) -> str:
    if line.cut:
        raise _ProblemError(f"the line is longer than {len(line.raw):,} bytes; only its beginning is kept")
    if line.raw.startswith(_GZIP):
        raise _ProblemError(
            "this is gzip data: use a file name that ends in .gz, or decompress it (zcat FILE | ingestor run)"
        )
    try:
        return line.raw.decode()
    except UnicodeDecodeError as error:
        raise _ProblemError(f"not UTF-8: byte {error.start + 1} of the line is 0x{line.raw[error.start]:02x}") from None


def _load(text: str) -> Mapping[str, object]:
    try:
        record: object = _DECODER.decode(text)
    except _ProblemError:
        raise
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}"
        hint = _ONE_A_LINE if text.strip() in _BEGINNINGS else ""
        raise _ProblemError(message + hint) from None
    except (ValueError, RecursionError):
        raise _ProblemError("not JSON that can be parsed: a number is too long, or the nesting is too deep") from None
    if not isinstance(record, dict):
        hint = "; `jq -c '.[]'` makes one line of each entry" if isinstance(record, list) else ""
        raise _ProblemError(f"must be a JSON object, not {_KINDS[type(record)]}{hint}")
    return record


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        count = Counter(name for name, _ in pairs)
        raise _ProblemError(f"{_shown(count.most_common(1)[0][0])} occurs twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise _ProblemError(f"not JSON: {name} is not a JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)


def _read(record: Mapping[str, object]) -> tuple[str | None, RunDetails, list[str]]:
    problems = [_unknown(name) for name in record if name not in FIELDS]

    def field(name: str, parse: Callable[[object], _T]) -> _T | None:
        try:
            return parse(record[name]) if name in record else None
        except _ProblemError as problem:
            problems.append(f"{name}: {problem}")
            return None

    job_id = field("job_id", _job_id)
    details = RunDetails(
        experiment_id=field("experiment_id", _filled),
        run_name=field("run_name", _text),
        start_time=field("start_time", _milliseconds),
        tags=_tags(record, problems),
    )
    return job_id, details, problems


def _unknown(name: str) -> str:
    if name in _NOT_YET:
        return f"{name}: is not supported yet; remove the field to create the run without it"
    return f"{_shown(name)}: unknown field (known fields: {', '.join(FIELDS)})"


def _job_id(value: object) -> str:
    text = _filled(value)
    if len(text) > LONGEST_JOB_ID:
        raise _ProblemError(f"must have at most {LONGEST_JOB_ID} characters, but has {len(text):,}")
    return text


def _filled(value: object) -> str:
    if value == "":
        raise _ProblemError("must not be empty; omit the field")
    return _text(value)


def _text(value: object) -> str:
    if type(value) is not str:
        hint = "; put it in quotes" if type(value) in (int, float) else ""
        raise _ProblemError(f"must be a string, not {_kind(value)}{hint}")
    if "\0" in value:
        raise _ProblemError("contains a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise _ProblemError("contains half of a surrogate pair, which is not a character") from None
    return value


def _milliseconds(value: object) -> int:
    if isinstance(value, str):
        return _iso_milliseconds(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _ProblemError(f"must be whole milliseconds or an ISO 8601 time, not {_kind(value)}")
    if value < 0:
        raise _ProblemError(f"must not be negative, but is {_shown(value)}")
    if value > _INT64_MAX:
        raise _ProblemError(f"is too large for a 64-bit integer: {_shown(value)}")
    if 0 < value < EARLIEST:
        raise _ProblemError(f"{value} seems to be in seconds; give milliseconds")
    if value > LATEST:
        raise _ProblemError(f"{value} seems to be in microseconds or nanoseconds; give milliseconds")
    return value


def _iso_milliseconds(value: str) -> int:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise _ProblemError(f"{_shown(value)} is not an ISO 8601 time such as 2024-02-08T22:28:16.765Z") from None
    if time.tzinfo is None:
        raise _ProblemError(f"{_shown(value)} has no UTC offset; add Z for UTC, or an offset such as +02:00")
    milliseconds = (time - _EPOCH) // timedelta(milliseconds=1)
    if milliseconds < 0:
        raise _ProblemError(f"{_shown(value)} is before 1970")
    return milliseconds


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


def _tags(record: Mapping[str, object], problems: list[str]) -> tuple[tuple[str, str], ...]:
    tags: dict[str, str] = {}
    for name, value in _pairs(record.get("tags", {}), problems):
        try:
            key = _tag_key(name, tags)
            tags[key] = _tag_text(f"the value of {_shown(key)}", value)
        except _ProblemError as problem:
            problems.append(f"tags: {problem}")
    return tuple(tags.items())


def _pairs(tags: object, problems: list[str]) -> Iterator[tuple[object, object]]:
    if isinstance(tags, dict):
        yield from tags.items()
    elif isinstance(tags, list):
        for number, tag in enumerate(tags, 1):
            if isinstance(tag, dict) and len(tag) == 2 and "key" in tag and "value" in tag:
                yield tag["key"], tag["value"]
            else:
                problems.append(f'tags: entry {number} must be an object with only "key" and "value"')
    else:
        problems.append(f"tags: must be an object or a list, not {_kind(tags)}")


def _tag_text(what: str, value: object) -> str:
    try:
        return _text(value)
    except _ProblemError as problem:
        raise _ProblemError(f"{what} {problem}") from None


def _tag_key(value: object, taken: Container[str]) -> str:
    key = _tag_text("a key", value)
    if not key:
        raise _ProblemError("a key must not be empty")
    if key in taken:
        raise _ProblemError(f"the key {_shown(key)} occurs twice")
    if key == STAMP:
        raise _ProblemError(f"the key {STAMP!r} is reserved: this program writes it on each run; remove the tag")
    return key


def _reject(line: Line, reason: str, job_id: str | None = None) -> Reject:
    text = line.raw.decode(errors="backslashreplace")
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + "…"
    return Reject(line.origin, reason, text, job_id)


_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a point or an exponent",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _kind(value: object) -> str:
    return _KINDS[type(value)] + ("; omit the field" if value is None else "")


def _shown(value: str | int) -> str:
    """Return a value as a reason shows it: shortened, and without characters that control a terminal."""
    text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
