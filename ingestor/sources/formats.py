"""Other formats than JSON Lines: how they begin, what they are called, and how to convert them."""

import re
from collections.abc import Callable
from dataclasses import replace

from ingestor.sources.json_formats import json_format
from ingestor.sources.opening import FILE, Format, Opening, is_record
from ingestor.sources.table_formats import COLUMNS, table_format, tree_format

_NO_RUNS = "it does not hold records; write a file with one JSON object a line"
_FRAME = (
    "python3 -c 'import pandas, sys; [print(it.dropna().to_json()) for _, it in "
    "pandas.read_{}(sys.argv[1]).iterrows()]' "
)
_QUERY = (
    "SELECT json_patch('{}', json_object('job_id', run_uuid, 'experiment_id', CAST(experiment_id AS TEXT), 'run_name', "
    "name, 'start_time', start_time, 'tags', (SELECT json_group_array(json_object('key', key, 'value', value)) "
    "FROM tags WHERE tags.run_uuid = runs.run_uuid))) FROM runs"
)


def _frame(name: str, kind: str) -> Format:
    return Format(name, _FRAME.format(kind) + FILE, needs_file=True, advice=COLUMNS)


_BINARY = {
    b"PAR1": _frame("a Parquet file", "parquet"),
    b"ARROW1": _frame("an Arrow file (Feather)", "feather"),
    b"ORC": _frame("an ORC file", "orc"),
    b"Obj\x01": Format("an Avro file", f"avro-tools tojson {FILE}", needs_file=True, advice=COLUMNS),
    b"SQLite format 3\0": Format(
        "a SQLite database", f'sqlite3 {FILE} "{_QUERY}"', needs_file=True, advice="for a database of MLflow"
    ),
    b"\x1f\x8b": Format("gzip data", f"gzip -dc {FILE}"),
    b"BZh": Format("bzip2 data", f"bzip2 -dc {FILE}"),
    b"\xfd7zXZ\0": Format("xz data", f"xz -dc {FILE}"),
    b"\x28\xb5\x2f\xfd": Format("zstd data", f"zstd -dc --long=31 {FILE}"),
    b"\x04\x22\x4d\x18": Format("lz4 data", f"lz4 -dc {FILE}"),
    b"\x1f\x9d": Format("data of compress (.Z)", f"gzip -dc {FILE}"),
    b"\xff\x06\0\0sNaPpY": Format("snappy data", f"snzip -dc {FILE}"),
    b"7z\xbc\xaf\x27\x1c": Format("a 7z archive", f"7z x -so {FILE}", needs_file=True),
    b"Rar!\x1a": Format("a RAR archive", f"unrar p -inul {FILE}", needs_file=True),
    b"\x89HDF": Format("an HDF5 file", advice=_NO_RUNS),
    b"\x93NUMPY": Format("a NumPy array", advice=_NO_RUNS),
    b"\x89PNG": Format("a PNG image", advice=_NO_RUNS),
    b"\xff\xd8\xff": Format("a JPEG image", advice=_NO_RUNS),
    b"%PDF-": Format("a PDF document", advice=_NO_RUNS),
    b"\x7fELF": Format("a program", advice=_NO_RUNS),
    b"\xd0\xcf\x11\xe0": Format("an old Office document (.xls)", advice="save it as CSV, and convert that"),
    b":W&B": Format("a log of Weights & Biases", advice="export its runs, one JSON object a line"),
}

_PAGE = "it may be a login page or an error page; look at it with `head`, and download the file again"
_TEXT = {
    rb"version https://git-lfs\.github\.com/spec/": Format(
        "a Git LFS pointer, not the data", advice="get the data with `git lfs pull`"
    ),
    rb"[./]*(?:\.git/)?annex/objects/": Format(
        "a git-annex pointer, not the data", advice="get the data with `git annex get`"
    ),
    rb"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b": Format("an HTML page", advice=_PAGE),
    rb"<[?!a-z]": Format("XML", advice=_NO_RUNS),
    rb"HTTP/[0-9.]+ [0-9]{3}\b": Format(
        "an HTTP answer with its headers", advice="store its body only, as `curl` does without -i"
    ),
    rb"(?:--(?!-)|/\*|insert into|create (?:table|database)|pragma |begin transaction)": Format(
        "an SQL script", advice=_NO_RUNS
    ),
}
_TEXT_PATTERNS = [(re.compile(start, re.IGNORECASE | re.DOTALL), it) for start, it in _TEXT.items()]

_TAR = Format("a tar archive", f"tar -xOf - < {FILE}", advice="if it holds JSON Lines")
_ZIP = Format("a zip archive", f"unzip -p {FILE}", needs_file=True, advice="if it holds JSON Lines")
_TENSORBOARD = Format("a file of TensorBoard events", advice=_NO_RUNS)
_PICKLE = Format("a Python pickle", advice="load it with Python, and write one JSON object a line")
_PLAIN = Format("text that is not JSON", advice=_NO_RUNS)
_DATA = Format("binary data", advice=_NO_RUNS)

_SEQUENCE = Format("a JSON text sequence (RFC 7464)", f"tr -d '\\036' < {FILE} | jq -c .")
_NUL_ENDS = Format("JSON with NUL bytes between the objects", f"tr '\\000' '\\n' < {FILE}")
_CR_ENDS = Format("JSON Lines with CR line ends (old Mac OS)", f"tr '\\r' '\\n' < {FILE}")

_ENCODINGS = {  # UTF-32 before UTF-16: it begins with the same bytes
    rb"\xff\xfe\0\0|\0\0\xfe\xff": "UTF-32",
    rb"\xff\xfe|\xfe\xff": "UTF-16",
    rb"[\t-~]\0\0\0": "UTF-32LE",
    rb"\0\0\0[\t-~]": "UTF-32BE",
    rb"[\t-~]\0[\t-~]\0": "UTF-16LE",
    rb"\0[\t-~]\0[\t-~]": "UTF-16BE",
}
_ENCODING_PATTERNS = [
    (re.compile(start), Format(f"{name} text, not UTF-8", f"iconv -f {name} -t UTF-8 {FILE}"))
    for start, name in _ENCODINGS.items()
]

_PICKLED = re.compile(rb"\x80[\x02-\x05][\x80-\x95\]}(cKX]")
_TAR_MAGIC = slice(257, 262)
_EVENT = b"brain.Event:"  # in the first record: its version
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_LOOKED_AT = 1024  # bytes in which binary data is noticed
_LINES_OF_TEXT = 20  # so many lines before the first `{` are no bad records, but another format


def format_of(opening: Opening) -> Format | None:
    """Return the format of an input that begins so; None if it is JSON Lines, or not known.

    A few bad lines before a record make no other format.
    """
    if not opening.lines or opening.records[:1] == [True]:
        return None
    if (found := _container(opening)) is not None:
        return found
    recognizers = (json_format,) if opening.has_records else _RECOGNIZERS
    return next((it for recognize in recognizers if (it := recognize(opening)) is not None), None)


def _container(opening: Opening) -> Format | None:
    """Recognize archives that have the text of their files as it is: records in them are no sign of JSON Lines."""
    if opening.head[_TAR_MAGIC] == b"ustar":
        return _TAR
    return _ZIP if opening.head.startswith(b"PK\x03\x04") else None


def _binary(opening: Opening) -> Format | None:
    head = opening.head
    if _EVENT in head[:64]:
        return _TENSORBOARD
    if _PICKLED.match(head):
        return _PICKLE
    if (found := next((it for start, it in _BINARY.items() if head.startswith(start)), None)) is not None:
        return found
    return next((it for start, it in _ENCODING_PATTERNS if start.match(head)), None)


def _text(opening: Opening) -> Format | None:
    return next((it for start, it in _TEXT_PATTERNS if start.match(opening.head)), None)


def _line_ends(opening: Opening) -> Format | None:
    """Recognize lines that end in CR, and not in LF. What they hold may be another format too."""
    if b"\n" in opening.head or b"\r" not in opening.head:
        return None
    lines = replace(opening, head=opening.head.replace(b"\r", b"\n"))
    found = _CR_ENDS if lines.has_records else format_of(lines)
    if found is None or found is _CR_ENDS or not found.convert or found.needs_file:
        return found
    return replace(found, convert=f"{_CR_ENDS.convert} | {found.filter}")


def _separators(opening: Opening) -> Format | None:
    """Recognize JSON objects with other bytes than line ends between them."""
    if opening.head.startswith(b"\x1e"):
        return _SEQUENCE
    text, separator, _ = opening.lines[0].partition(b"\0")
    return _NUL_ENDS if separator and is_record(text.strip()) else None


def _data(opening: Opening) -> Format | None:
    if _CONTROL.search(opening.head[:_LOOKED_AT]):
        return _DATA
    return _PLAIN if opening.is_plain and opening.head.count(b"\n") >= _LINES_OF_TEXT else None


_RECOGNIZERS: tuple[Callable[[Opening], Format | None], ...] = (
    _binary,
    _line_ends,
    _separators,
    json_format,
    _text,
    table_format,
    tree_format,
    _data,
)
