"""A line of input, or an object of a program, becomes a job or a reject. This is the one entry to parsing."""

import json
import re
from collections.abc import Mapping
from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ingestor.model.record import Job, Line, Origin, Reject
from ingestor.policy.identity import STAMP, RunBody, Scope, Tag, encoded, identify, make_job
from ingestor.sources.lines import without_marks
from ingestor.sources.parse_strict import FIELDS, LONGEST_JOB_ID, parse_strict
from ingestor.sources.times import EARLIEST, LATEST

_LONGEST_TEXT = 10_000  # characters of an object that can't be written as JSON


def parse_record(line: Line, scope: Scope) -> Job | Reject:
    """Return the job of a line, or a reject that names everything that is wrong with it. Never raises."""
    fast = parse_fast(line)
    if fast is not None:
        return identify(line, *fast, scope)
    record = parse_strict(line)
    return record if isinstance(record, Reject) else make_job(line, *record, scope)


def parse_object(record: object, origin: Origin, scope: Scope) -> Job | Reject:
    """Return the job of a mapping, or of a record's JSON text as str or bytes; anything else is a reject."""
    if isinstance(record, Mapping):
        try:
            text = _encode(dict(record))
        except _NOT_JSON as error:
            return _reject_object(record, origin, _unwritable(record, error))
    elif isinstance(record, str):
        text = record.encode(errors="surrogatepass")
    elif isinstance(record, bytes):
        text = record
    else:
        return _reject_object(record, origin, f"must be a mapping, or JSON text, not {type(record).__name__}")
    return parse_record(Line(origin, without_marks(text)), scope)


_NOT_JSON = (TypeError, ValueError, RecursionError)
_encode_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _encode(value: object) -> bytes:
    return _encode_text(value).encode(errors="backslashreplace")  # half of a surrogate pair becomes its JSON escape


def _unwritable(record: Mapping[object, object], error: Exception) -> str:
    for name, value in record.items():
        try:
            _encode({name: value})
        except _NOT_JSON as found:
            shown = name if name in FIELDS else repr(name)[:60]
            return f"{shown}: can't be written as JSON: {found}"
    return f"can't be written as JSON: {error}"


def _reject_object(record: object, origin: Origin, reason: str) -> Reject:
    job_id = record.get("job_id") if isinstance(record, Mapping) else None
    return Reject(origin, reason, repr(record)[:_LONGEST_TEXT], job_id if isinstance(job_id, str) else None)


# The fast path for valid records: compiled code decodes, checks and types a line in one step. It accepts no record that
# `parse_strict` rejects, and returns the same job. Every unusual line is parsed by `parse_strict`, which costs several
# times as much. Almost all records of a migration use the fast path.

_Name = Annotated[str, Meta(min_length=1)]
_JobId = Annotated[str, Meta(min_length=1, max_length=LONGEST_JOB_ID)]
_Milliseconds = Annotated[int, Meta(ge=EARLIEST, le=LATEST)]


class _Record(Struct, forbid_unknown_fields=True, gc=False):
    job_id: _JobId | UnsetType = UNSET
    experiment_id: _Name | UnsetType = UNSET
    run_name: str | UnsetType = UNSET
    start_time: _Milliseconds | float | UnsetType = UNSET  # with float as a second type, 1.0 is not accepted as an int
    tags: list[Tag] | dict[str, str] | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Record).decode
_key = attrgetter("key")
_ESCAPED_NUL_OR_COLON = re.compile(rb"\\u00(00|3[aA])")


def parse_fast(line: Line) -> tuple[str | None, str | None, bytes] | None:
    """Return a record's `job_id`, its `experiment_id`, and the canonical body of its run.

    None: `parse_strict` must parse the line. Never raises.
    """
    raw = line.raw
    if line.cut or _ESCAPED_NUL_OR_COLON.search(raw):
        return None
    try:
        record = _decode(raw)
    except (ValueError, RecursionError):
        return None
    tags = _sorted(record.tags)
    if tags is None or isinstance(record.start_time, float) or not (tags or _is_filled(record)):
        return None
    body = encoded(RunBody(record.experiment_id, record.run_name, record.start_time, tags))
    # The decoder keeps one of two members with the same name: then the canonical body lacks a colon.
    if _colons(record, body) != raw.count(b":"):
        return None
    job_id = None if record.job_id is UNSET else record.job_id
    return job_id, None if record.experiment_id is UNSET else record.experiment_id, body


def _is_filled(record: _Record) -> bool:
    """Whether a record without tags certainly says something about its run."""
    has_field = not (record.job_id is UNSET and record.experiment_id is UNSET and record.start_time is UNSET)
    return has_field or bool(record.run_name and record.run_name.strip())


def _colons(record: _Record, body: bytes) -> int:
    """Return how many colons the JSON text of a record has, from the number in its canonical body."""
    colons = body.count(b":")
    if record.job_id is not UNSET:
        colons += 1 + record.job_id.count(":")
    if record.tags is UNSET:
        return colons - 1
    return colons - len(record.tags) if isinstance(record.tags, dict) else colons


def _sorted(tags: list[Tag] | dict[str, str] | UnsetType) -> list[Tag] | None:
    """Return the tags in the order of their keys; None if a key is empty, reserved or occurs twice."""
    if isinstance(tags, dict):
        made = [Tag(key, value) for key, value in sorted(tags.items())]
    else:
        made = [] if tags is UNSET else sorted(tags, key=_key)
    keys = {tag.key for tag in made}
    return None if len(keys) < len(made) or "" in keys or STAMP in keys else made
