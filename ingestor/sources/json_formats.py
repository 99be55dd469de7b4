"""JSON that is not one object a line, and text that only looks like JSON."""

import json
import re
from enum import Enum

from ingestor.sources.opening import Format, Opening

_MLFLOW = (
    "jq -c '(.runs // [.run // .])[] | {job_id: .info.run_id, experiment_id: .info.experiment_id, "
    "run_name: .info.run_name, start_time: .info.start_time, tags: .data.tags} | with_entries(select(.value != null))'"
)
_LITERALS = (
    "[print(json.dumps(it)) for line in sys.stdin if line.strip() for value in [ast.literal_eval(line)] "
    "for it in (value if isinstance(value, list) else [value])]"
)

_DAMAGED = "if jq finds an error, the data is damaged"
_ARRAY = Format("a JSON array", "jq -c '.[]'", _DAMAGED)
_OVER_LINES = Format("JSON that is printed over several lines", "jq -c .", _DAMAGED)
_ON_ONE_LINE = Format("JSON with several objects on one line", "jq -c .")
_BY_COMMAS = "sed 's/^[[:space:],]*/[/; s/[[:space:],]*$/]/' | jq -c '.[]'"
_COMMAS = Format("JSON with a comma after each object", _BY_COMMAS)
_COMMAS_BEFORE = Format("JSON with a comma before each object", _BY_COMMAS)
_CONTAINER = Format("the log of a container", "jq -j 'select(.stream == \"stdout\").log'")
_PYTHON = Format("text of Python dictionaries", f"python3 -c 'import ast, json, sys; {_LITERALS}'")
_BEGINNINGS = (
    (
        re.compile(rb'\{\s*(?:"(?:run|runs)"\s*:\s*\[?\s*\{\s*)?"(?:info|data)"\s*:\s*\{'),
        Format("MLflow's own JSON of runs", _MLFLOW),
    ),
    (
        re.compile(rb'\{"source": ?"[^"]*", ?"line": ?[0-9]+, ?"reason":'),
        Format("a file of rejected records", "jq -r .record", "fix the records first"),
    ),
)
_BEGINS_ARRAY = re.compile(rb"\[\s*(?:\]|\{\s*[\"}])")
_EMPTY_ARRAYS = re.compile(rb"(?:\[\s*\]\s*)+")
_MAY_BEGIN_ARRAY = re.compile(rb"\[\s*(?:[\]{]|$)")
_BEGINS_PYTHON = re.compile(rb"\[?\s*\{\s*'")
_BEGINS_WRAPPER = re.compile(  # members with simple values, and a list of objects
    rb'\{(?:\s*"(?!(?:job_id|run_name|start_time)")[^"\\]*"\s*:\s*(?:"[^"\\]*"|[-+.\w]+)\s*,)*'
    rb'\s*"(?!(?:tags|params|metrics|inputs|outputs)")([\w .-]+)"\s*:\s*\[\s*[{\]]'
)


def json_format(opening: Opening) -> Format | None:
    """Return the format if it is one of those that look like JSON.

    A record in one of the next lines makes it none of them, except where brackets or commas show one.
    """
    first = opening.lines[0]
    if _BEGINS_PYTHON.match(first):
        return None if opening.has_records else _PYTHON
    if first.startswith(b"["):
        return _array(opening)
    if not first.startswith(b"{"):
        return None
    return _commas(opening) or (None if opening.has_records else _objects(opening))


def commas_between(opening: Opening) -> Format | None:
    """Return the format of objects with commas between them, where the first line is a record."""
    others = opening.lines[1 : len(opening.records)]
    if len(others) < 2 or any(opening.records[1:]):
        return None
    if all(it.startswith(b",") and is_object(it[1:]) for it in others):
        return _COMMAS_BEFORE
    return _COMMAS if all(it.endswith(b",") and is_object(it[:-1]) for it in others) else None


def is_empty_array(text: bytes) -> bool:
    """Whether a text is JSON arrays without an entry, and nothing else."""
    return _EMPTY_ARRAYS.fullmatch(text) is not None


def may_be_array(opening: Opening) -> bool:
    """Whether the first line may begin a JSON array."""
    return bool(opening.lines) and _MAY_BEGIN_ARRAY.match(opening.lines[0]) is not None


def is_object(text: bytes) -> bool:
    """Whether a line is one JSON object."""
    value, rest = _scan(text) if is_utf8(text) else (None, "")
    return isinstance(value, dict) and not rest


def is_utf8(text: bytes) -> bool:
    """Whether a text is UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _objects(opening: Opening) -> Format | None:
    head = opening.head
    if (found := next((it for start, it in _BEGINNINGS if start.match(head)), None)) is not None:
        return found
    if (member := _BEGINS_WRAPPER.match(head)) is not None:
        name = member[1].decode()
        return Format(f"one JSON object with the records in its member {name[:60]!r}", f"jq -c '.[\"{name}\"][]'")
    value, rest = _scan(opening.lines[0])
    if isinstance(value, dict) and rest.startswith("{"):
        return _ON_ONE_LINE
    if isinstance(value, dict) and {"log", "stream"} <= value.keys():
        return _CONTAINER
    is_open = value is _State.INCOMPLETE and len(opening.lines) > 1
    return _OVER_LINES if is_open and _scan_all(opening)[0] is not _State.INVALID else None


def _array(opening: Opening) -> Format | None:
    if not _BEGINS_ARRAY.match(b"\n".join(opening.lines)):
        return None
    if not opening.has_records:
        return _ARRAY
    # An entry on a line of its own is a record too. Then all lines together must be the beginning of an array.
    value, rest = _scan_all(opening)
    return _ARRAY if len(opening.lines) > 2 and value is not _State.INVALID and not rest else None


def _commas(opening: Opening) -> Format | None:
    first, *others = opening.lines
    value, rest = _scan(first)
    if not isinstance(value, dict) or not rest.startswith(","):
        return None
    if rest[1:].lstrip():  # `{…}, {…}`
        return _COMMAS if not opening.has_records else None
    return _COMMAS if not others or _scan(others[0])[1] == "," else None


class _State(Enum):
    INCOMPLETE = "the beginning of a value"
    INVALID = "not the beginning of a value"


def _scan_all(opening: Opening) -> tuple[object, str]:
    return _scan(b"\n".join(opening.lines), is_cut=opening.last_is_cut)


def _scan(text: bytes, *, is_cut: bool = False) -> tuple[object, str]:
    """Return the JSON value at the start, or what there is instead, and what follows it.

    `is_cut`: the text may end inside a string.
    """
    decoded = text.decode(errors="replace").strip(_SPACE)
    try:
        value, end = _DECODER.raw_decode(decoded)
    except json.JSONDecodeError as error:
        is_open = error.pos >= len(decoded) or (is_cut and error.msg.startswith("Unterminated string"))
        return (_State.INCOMPLETE if is_open else _State.INVALID), ""
    except (ValueError, RecursionError):
        return _State.INVALID, ""
    return value, decoded[end:].strip(_SPACE)


_SPACE = " \t\n\r"
_DECODER = json.JSONDecoder()
