"""The complete record format: a line is parsed, or a reject names everything that is wrong with it."""

import json
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from typing import NoReturn, TypeVar

from ingestor.model.record import Line, Reject, RunDetails
from ingestor.policy.identity import STAMP
from ingestor.sources.problems import KINDS, ProblemError, kind, shown
from ingestor.sources.times import milliseconds

FIELDS = ("job_id", "experiment_id", "run_name", "start_time", "tags")

LONGEST_JOB_ID = 500

Record = tuple[str | None, RunDetails]
"""A record's `job_id`, and the details of its run."""

_T = TypeVar("_T")

_NOT_YET = frozenset({"params", "metrics", "end_time", "status"})
_BEGINNINGS = frozenset({"{", "["})  # first lines of JSON that is printed over several lines
_ONE_A_LINE = "; a record must be on one line (`jq -c .` writes it so)"

_EMPTY = f"says nothing about a run: at least one of {', '.join(FIELDS)} must be present and not empty"

_LONGEST_REASON = 1000


def parse_strict(line: Line) -> Record | Reject:
    """Parse a line, or return a reject that names everything that is wrong with it. Never raises."""
    try:
        record = _load(_decode(line))
    except ProblemError as problem:
        return _reject(line, str(problem))
    job_id, details, problems = _read(record)
    if not problems and job_id is None and _is_empty(details):
        problems.append(_EMPTY)
    if problems:
        return _reject(line, "; ".join(problems), job_id)
    return job_id, details


def _is_empty(details: RunDetails) -> bool:
    """Whether a record says nothing about its run. A name of only white space says nothing."""
    has_name = bool(details.run_name and details.run_name.strip())
    return not (details.experiment_id or has_name or details.start_time is not None or details.tags)


def _decode(line: Line) -> str:
    if line.cut:
        raise ProblemError(f"the line is longer than {len(line.raw):,} bytes; only its beginning is kept")
    try:
        return line.raw.decode()
    except UnicodeDecodeError as error:
        raise ProblemError(f"not UTF-8: byte {error.start + 1} of the line is 0x{line.raw[error.start]:02x}") from None


def _load(text: str) -> Mapping[str, object]:
    try:
        record: object = _DECODER.decode(text)
    except ProblemError:
        raise
    except json.JSONDecodeError as error:
        message = f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos + 1}"
        raise ProblemError(message + _hint(text, error.pos)) from None
    except (ValueError, RecursionError):
        raise ProblemError("not JSON that can be parsed: a number is too long, or the nesting is too deep") from None
    if not isinstance(record, dict):
        hint = "; `jq -c '.[]'` makes one line of each entry" if isinstance(record, list) else ""
        raise ProblemError(f"must be a JSON object, not {KINDS[type(record)]}{hint}")
    return record


def _hint(text: str, position: int) -> str:
    """Say what to do about text that is not JSON at a position."""
    if text.strip() in _BEGINNINGS:
        return _ONE_A_LINE
    return "; remove the comma after the object" if text[position:].strip() == "," else ""


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        count = Counter(name for name, _ in pairs)
        raise ProblemError(f"{shown(count.most_common(1)[0][0])} occurs twice in one object")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ProblemError(f"not JSON: {name} is not a JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)


def _read(record: Mapping[str, object]) -> tuple[str | None, RunDetails, list[str]]:
    problems = [_unknown(name) for name in record if name not in FIELDS]

    def field(name: str, parse: Callable[[object], _T]) -> _T | None:
        try:
            return parse(record[name]) if name in record else None
        except ProblemError as problem:
            problems.append(f"{name}: {problem}")
            return None

    job_id = field("job_id", _job_id)
    details = RunDetails(
        experiment_id=field("experiment_id", _filled),
        run_name=field("run_name", _text),
        start_time=field("start_time", milliseconds),
        tags=_tags(record, problems),
    )
    return job_id, details, problems


def _unknown(name: str) -> str:
    if name in _NOT_YET:
        return f"{name}: is not supported yet; remove the field to create the run without it"
    return f"{shown(name)}: unknown field (known fields: {', '.join(FIELDS)})"


def _job_id(value: object) -> str:
    text = _filled(value)
    if len(text) > LONGEST_JOB_ID:
        raise ProblemError(f"must have at most {LONGEST_JOB_ID} characters, but has {len(text):,}")
    return text


def _filled(value: object) -> str:
    if value == "":
        raise ProblemError("must not be empty; omit the field")
    return _text(value)


def _text(value: object) -> str:
    if type(value) is not str:
        hint = "; put it in quotes" if type(value) in (int, float) else ""
        raise ProblemError(f"must be a string, not {kind(value)}{hint}")
    if "\0" in value:
        raise ProblemError("contains a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ProblemError("contains half of a surrogate pair, which is not a character") from None
    return value


def _tags(record: Mapping[str, object], problems: list[str]) -> tuple[tuple[str, str], ...]:
    tags: dict[str, str] = {}
    for name, value in _pairs(record.get("tags", {}), problems):
        try:
            key = _tag_key(name, tags)
            tags[key] = _tag_text(f"the value of {shown(key)}", value)
        except ProblemError as problem:
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
        problems.append(f"tags: must be an object or a list, not {kind(tags)}")


def _tag_text(what: str, value: object) -> str:
    try:
        return _text(value)
    except ProblemError as problem:
        raise ProblemError(f"{what} {problem}") from None


def _tag_key(value: object, taken: Container[str]) -> str:
    key = _tag_text("a key", value)
    if not key:
        raise ProblemError("a key must not be empty")
    if key in taken:
        raise ProblemError(f"the key {shown(key)} occurs twice")
    if key == STAMP:
        raise ProblemError(f"the key {STAMP!r} is reserved: this program writes it on each run; remove the tag")
    return key


def _reject(line: Line, reason: str, job_id: str | None = None) -> Reject:
    text = line.raw.decode(errors="backslashreplace")
    if len(reason) > _LONGEST_REASON:
        reason = reason[:_LONGEST_REASON] + "…"
    return Reject(line.origin, reason, text, job_id)
