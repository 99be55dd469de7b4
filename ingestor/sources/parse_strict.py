"""The record format, told exactly: a line is read, or everything that is wrong with it is named."""

import json
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from datetime import datetime
from typing import NoReturn

from ingestor.model.record import Line, Reject, RunDetails
from ingestor.policy.identity import STAMP

FIELDS = ("job_id", "experiment_id", "run_name", "start_time", "tags")

LONGEST_JOB_ID = 500
EARLIEST = 10**11
"""As milliseconds, anything below is before March 1973; as seconds it reaches the year 5138."""
LATEST = 253_402_300_799_999
"""The end of the year 9999, in milliseconds."""

Record = tuple[str | None, RunDetails]
"""A record's `job_id`, and what it says of its run."""

_NOT_YET = frozenset({"params", "metrics", "end_time", "status"})
_GZIP = b"\x1f\x8b"
_BEGINNINGS = frozenset({"{", "["})  # lines that JSON printed over several lines begins with
_ONE_A_LINE = "; a record must stand on one line (`jq -c .` puts it there)"

_INT64_MAX = 2**63 - 1
_SHOWN = 60  # characters of a value in a reason
_LONGEST_REASON = 1000


class _ProblemError(ValueError):
    """What is wrong with one field."""


def parse_strict(line: Line) -> Record | Reject:
    """Read a line, or tell everything that is wrong with it. Never raises."""
    try:
        text = _decode(line)
    except _ProblemError as problem:
        return _reject(line, str(problem))
    try:
        record = _load(text)
    except _ProblemError as problem:
        return _reject(line, str(problem))
    job_id, details, problems = _read(record)
    if problems:
        return _reject(line, "; ".join(problems), job_id)
    return job_id, details


def _decode(line: Line) -> str:
    if line.cut:
        raise _ProblemError(f"the line is longer than {len(line.raw):,} bytes; only its beginning is kept here")
    if line.raw.startswith(_GZIP):
        raise _ProblemError("this is gzip: name it with .gz at the end, or unpack it (zcat FILE | ingestor run -)")
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
        told = f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}"
        hint = _ONE_A_LINE if text.strip() in _BEGINNINGS else ""
        raise _ProblemError(told + hint) from None
    except (ValueError, RecursionError):
        raise _ProblemError("not JSON that can be read: a number is too long, or it is nested too deeply") from None
    if not isinstance(record, dict):
        hint = "; `jq -c '.[]'` makes one line of each entry" if isinstance(record, list) else ""
        raise _ProblemError(f"must be a JSON object, not {_kind(record)}{hint}")
    return record


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) < len(pairs):
        count = Counter(name for name, _ in pairs)
        raise _ProblemError(f"{_shown(count.most_common(1)[0][0])} stands twice in one object")
    return made


def _no_constant(name: str) -> NoReturn:
    raise _ProblemError(f"not JSON: {name} is no JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)


def _read(record: Mapping[str, object]) -> tuple[str | None, RunDetails, list[str]]:
    problems = [_unknown(name) for name in record if name not in FIELDS]

    def text(name: str, longest: int | None = None) -> str | None:
        try:
            return _text(record[name], longest) if name in record else None
        except _ProblemError as problem:
            problems.append(f"{name}: {problem}")
            return None

    job_id = text("job_id", LONGEST_JOB_ID)
    if job_id == "":
        problems.append("job_id: must not be empty; leave the field out")
    experiment_id = text("experiment_id")
    if experiment_id == "":
        problems.append("experiment_id: must not be empty; leave the field out")
    details = RunDetails(
        experiment_id=experiment_id,
        run_name=text("run_name"),
        start_time=_start_time(record, problems),
        tags=_tags(record, problems),
    )
    return job_id, details, problems


def _unknown(name: str) -> str:
    if name in _NOT_YET:
        return f"{name}: is not brought over yet; take it away to bring in the rest"
    return f"{_shown(name)}: unknown field (there are {', '.join(FIELDS)})"


def _text(value: object, longest: int | None = None) -> str:
    if type(value) is not str:
        hint = "; write it in quotes" if type(value) in (int, float) else ""
        raise _ProblemError(f"must be a string, not {_kind(value)}{hint}{_null_hint(value)}")
    if "\0" in value:
        raise _ProblemError("holds a NUL character")
    if not value.isascii():
        _check_surrogates(value)
    if longest is not None and len(value) > longest:
        raise _ProblemError(f"must have at most {longest} characters, and has {len(value):,}")
    return value


def _check_surrogates(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _ProblemError("holds half of a surrogate pair, which is no character") from None


def _start_time(record: Mapping[str, object], problems: list[str]) -> int | None:
    if "start_time" not in record:
        return None
    try:
        return _milliseconds(record["start_time"])
    except _ProblemError as problem:
        problems.append(f"start_time: {problem}")
        return None


def _milliseconds(value: object) -> int:
    if isinstance(value, str):
        return _iso_milliseconds(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _ProblemError(f"must be whole milliseconds or an ISO 8601 time, not {_kind(value)}{_null_hint(value)}")
    if value < 0:
        raise _ProblemError(f"must not be negative, and is {_shown(value)}")
    if value > _INT64_MAX:
        raise _ProblemError(f"is beyond a 64-bit integer: {_shown(value)}")
    if 0 < value < EARLIEST:
        raise _ProblemError(f"{value} can only be in seconds; give milliseconds")
    if value > LATEST:
        raise _ProblemError(f"{value} can only be in micro- or nanoseconds; give milliseconds")
    return value


def _iso_milliseconds(value: str) -> int:
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        raise _ProblemError(f"{_shown(value)} is no ISO 8601 time, such as 2024-02-08T22:28:16.765Z") from None
    if time.tzinfo is None:
        raise _ProblemError(f"{_shown(value)} has no offset; add Z for UTC, or one such as +02:00")
    since = time - _EPOCH
    milliseconds = (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
    if milliseconds < 0:
        raise _ProblemError(f"{_shown(value)} is before 1970")
    return milliseconds


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00Z")


def _tags(record: Mapping[str, object], problems: list[str]) -> tuple[tuple[str, str], ...]:
    tags: dict[str, str] = {}
    for name, value in _pairs(record.get("tags", {}), problems):
        try:
            key = _tag_key(name, tags)
            tags[key] = _tag_value(key, value)
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
                problems.append(f'tags: entry {number} must be an object of "key" and "value" alone')
    else:
        problems.append(f"tags: must be an object or a list, not {_kind(tags)}{_null_hint(tags)}")


def _tag_key(value: object, taken: Container[str]) -> str:
    try:
        key = _text(value)
    except _ProblemError as problem:
        raise _ProblemError(f"a key {problem}") from None
    if not key:
        raise _ProblemError("a key must not be empty")
    if key in taken:
        raise _ProblemError(f"the key {_shown(key)} stands twice")
    if key == STAMP:
        raise _ProblemError(f"{STAMP!r} is reserved: it is put on the run by this program; take it away")
    return key


def _tag_value(key: str, value: object) -> str:
    try:
        return _text(value)
    except _ProblemError as problem:
        raise _ProblemError(f"the value of {_shown(key)} {problem}") from None


def _reject(line: Line, reason: str, job_id: str | None = None) -> Reject:
    text = line.raw.decode(errors="backslashreplace")
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + "…"
    return Reject(line.origin, reason, text, job_id)


def _kind(value: object) -> str:
    return _KINDS[type(value)]


_KINDS = {
    type(None): "null",
    bool: "true or false",
    int: "a whole number",
    float: "a number with a point or an exponent",
    str: "a string",
    list: "a list",
    dict: "an object",
}


def _null_hint(value: object) -> str:
    return "; leave the field out" if value is None else ""


def _shown(value: str | int) -> str:
    """Show a value of the record in a reason: shortened, and with nothing in it that a terminal would obey."""
    text = repr(value[: _SHOWN + 1] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
