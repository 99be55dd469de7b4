"""JSON that is not one object a line, and text that only looks like JSON."""

import json
import re
from enum import Enum

from ingestor.sources.opening import FILE, Format, Opening

_MLFLOW = (
    "jq -c '(.runs // [.run // .])[] | {job_id: .info.run_id, experiment_id: .info.experiment_id, "
    "run_name: .info.run_name, start_time: .info.start_time, tags: .data.tags} | with_entries(select(.value != null))'"
)
_LITERALS = (
    "[print(json.dumps(it)) for line in sys.stdin if line.strip() for value in [ast.literal_eval(line)] "
    "for it in (value if isinstance(value, list) else [value])]"
)

_ARRAY = Format("a JSON array", f"jq -c '.[]' {FILE}")
_OVER_LINES = Format("JSON that is printed over several lines", f"jq -c . {FILE}")
_ON_ONE_LINE = Format("JSON with several objects on one line", f"jq -c . {FILE}")
_COMMAS = Format("JSON with a comma after each object", f"sed 's/^/[/; s/,*[[:space:]]*$/]/' {FILE} | jq -c '.[]'")
_RUNS = Format("MLflow's own JSON of runs", f"{_MLFLOW} {FILE}")
_PYTHON = Format("text of Python dictionaries", f"python3 -c 'import ast, json, sys; {_LITERALS}' < {FILE}")
_BY_ID = Format(
    "one JSON object with a record in each member", f"jq -c 'to_entries[] | {{job_id: .key}} + .value' {FILE}"
)
_ROWS = 'pandas.read_json(sys.stdin, dtype=False, convert_dates=False).to_json(orient="records", lines=True)'
_BY_COLUMN = Format(
    "a JSON object with the columns of a table", f"python3 -c 'import pandas, sys; print({_ROWS})' < {FILE}"
)
_REJECTS = Format("a file of rejected records", f"jq -r .record {FILE}", advice="fix the records first")
_SCRIPT = Format("text of JavaScript or JSON5 objects", advice="write each object on one line with `JSON.stringify`")

_BEGINS_ARRAY = re.compile(rb"\[\s*(?:\]|\{\s*[\"}])")
_MAY_BEGIN_ARRAY = re.compile(rb"\[\s*(?:[\]{]|$)")
_BEGINS_PYTHON = re.compile(rb"\[?\s*\{\s*'")
_BEGINS_REJECT = re.compile(rb'\{"source": ?"[^"]*", ?"line": ?[0-9]+, ?"reason":')
_BEGINS_SCRIPT = re.compile(rb"\{\s*[A-Za-z_$][\w$]*\s*:")
_BEGINS_RUN = re.compile(rb'\{\s*(?:"(?:run|runs)"\s*:\s*\[?\s*\{\s*)?"(?:info|data)"\s*:\s*\{')
_BEGINS_WRAPPER = re.compile(  # members with simple values, and a list of objects
    rb'\{(?:\s*"(?!(?:job_id|run_name|start_time)")[^"\\]*"\s*:\s*(?:"[^"\\]*"|[-+.\w]+)\s*,)*'
    rb'\s*"([^"\\]+)"\s*:\s*\[\s*[{\]]'
)
_BEGINS_BY_ID = re.compile(
    rb'\{\s*"(?!(?:job_id|experiment_id|run_name|start_time|tags)")[^"\\]*"\s*:'
    rb'\s*\{\s*"(?:job_id|experiment_id|run_name|start_time|tags)"\s*:'
)
_BEGINS_BY_COLUMN = re.compile(rb'\{\s*"(?:job_id|experiment_id|run_name|start_time)"\s*:\s*\{\s*"')
_LISTS_OF_A_RUN = frozenset({b"tags", b"params", b"metrics", b"inputs", b"outputs"})
_BEGINNINGS = (
    (_BEGINS_RUN, _RUNS),
    (_BEGINS_REJECT, _REJECTS),
    (_BEGINS_SCRIPT, _SCRIPT),
    (_BEGINS_BY_ID, _BY_ID),
    (_BEGINS_BY_COLUMN, _BY_COLUMN),
)
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z_0-9]*")


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
    commas = _commas(opening)
    return commas if commas is not None or opening.has_records else _objects(opening)


def may_be_array(opening: Opening) -> bool:
    """Whether the first line may begin a JSON array."""
    return bool(opening.lines) and _MAY_BEGIN_ARRAY.match(opening.lines[0]) is not None


def is_object(text: bytes) -> bool:
    """Whether a line is one JSON object."""
    value, rest = _scan(text)
    return isinstance(value, dict) and not rest


def _objects(opening: Opening) -> Format | None:
    head = opening.head
    if (found := next((it for start, it in _BEGINNINGS if start.match(head)), None)) is not None:
        return found
    if (member := _BEGINS_WRAPPER.match(head)) is not None and member[1] not in _LISTS_OF_A_RUN:
        return _wrapper(member[1].decode(errors="replace"))
    value, rest = _scan(opening.lines[0])
    if isinstance(value, dict) and rest.startswith("{"):
        return _ON_ONE_LINE
    return _OVER_LINES if _is_over_lines(opening) else None


def _wrapper(name: str) -> Format:
    shown = name if name.isprintable() else repr(name)[1:-1]
    path = f".{name}[]" if _IDENTIFIER.fullmatch(name) else f".[{json.dumps(name)}][]"
    convert = f"jq -c '{path}' {FILE}" if "'" not in name and name.isprintable() else ""
    return Format(f"one JSON object with the records in its member {shown[:60]!r}", convert)


def _array(opening: Opening) -> Format | None:
    text = b"\n".join(opening.lines)
    if not _BEGINS_ARRAY.match(text):
        return None
    if not opening.has_records:
        return _ARRAY
    # An entry on a line of its own is a record too. Then all lines together must be the beginning of an array.
    value, rest = _scan(text, is_cut=opening.last_is_cut)
    return _ARRAY if len(opening.lines) > 2 and value is not _State.INVALID and not rest else None


def _commas(opening: Opening) -> Format | None:
    first, *others = opening.lines
    value, rest = _scan(first)
    if not isinstance(value, dict) or not rest.startswith(","):
        return None
    if rest[1:].lstrip():  # `{…}, {…}`
        return _COMMAS if not opening.has_records else None
    return _COMMAS if not others or _scan(others[0])[1] == "," else None


def _is_over_lines(opening: Opening) -> bool:
    first, *others = opening.lines
    if not others or _scan(first)[0] is not _State.INCOMPLETE:
        return False
    value, _ = _scan(b"\n".join(opening.lines), is_cut=opening.last_is_cut)
    return value is not _State.INVALID


class _State(Enum):
    INCOMPLETE = "the beginning of a value"
    INVALID = "not the beginning of a value"


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
