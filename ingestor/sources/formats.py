"""Other formats than JSON Lines: how they begin, what they are called, and how to convert them."""

import csv
import re
from collections.abc import Callable
from dataclasses import replace

from ingestor.sources.compression import compression_of
from ingestor.sources.json_formats import commas_between, is_object, is_utf8, json_format
from ingestor.sources.opening import Format, Opening, is_record

_EXPORT = "write its records with one JSON object a line, with the program or library that made it"
_NAME_COLUMNS = "give its columns the names of a record's fields first"
_UNPACK = "unpack it, and read the JSON Lines in it"

_BINARY = {  # the beginnings of data, as regular expressions
    rb"Obj\x01": "an Avro file",
    rb"SQLite format 3\0": "a SQLite database",
    rb".{0,50}brain\.Event:": "a file of TensorBoard events",  # the first record: its version
    rb"\x80[\x02-\x05][\x80-\x95\]}(cKX]": "a Python pickle",
    rb"\x89HDF": "an HDF5 file",
    rb"\x89PNG": "a PNG image",
    rb"%PDF-": "a PDF document",
}
_COLUMNS = {
    rb"PAR1": ("a Parquet file", "read_parquet"),
    rb"ARROW1": ("an Arrow file (Feather)", "read_feather"),
    rb"ORC": ("an ORC file", "read_orc"),
}
_PANDAS = (
    "python3 -c 'import io, pandas, sys; "
    'pandas.{}(io.BytesIO(sys.stdin.buffer.read()), dtype_backend="numpy_nullable")'
    ".to_json(sys.stdout, orient=\"records\", lines=True)' | jq -c 'del(..|nulls)'"
)
_PACKED = {
    rb"PK\x03\x04": "a zip archive",
    rb"7z\xbc\xaf\x27\x1c": "a 7z archive",
    rb"\x04\x22\x4d\x18": "lz4 data",
}
_ENCODINGS = {  # UTF-32 before UTF-16: it begins with the same bytes
    rb"\xff\xfe\0\0|\0\0\xfe\xff": "UTF-32",
    rb"\xff\xfe|\xfe\xff": "UTF-16",
    rb"[\t-~]\0\0\0": "UTF-32LE",
    rb"\0\0\0[\t-~]": "UTF-32BE",
    rb"[\t-~]\0[\t-~]\0": "UTF-16LE",
    rb"\0[\t-~]\0[\t-~]": "UTF-16BE",
}
_PAGE = "it may be a login page or an error page; look at it with `head`, and download the file again"
_TEXT = {
    rb"version https://git-lfs\.": Format("a Git LFS pointer, not the data", advice="get the data with `git lfs pull`"),
    rb"(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b": Format("an HTML page", advice=_PAGE),
    rb"<[?!a-z]": Format("XML", advice=_EXPORT),
}
_SEQUENCE = Format("a JSON text sequence (RFC 7464)", "tr -d '\\036' | jq -c .")
_BEGINNINGS = [
    (re.compile(start, re.IGNORECASE | re.DOTALL), found)
    for start, found in {
        **{start: Format(name, advice=_EXPORT) for start, name in _BINARY.items()},
        **{
            start: Format(name, _PANDAS.format(read), f"this needs pandas and pyarrow; {_NAME_COLUMNS}")
            for start, (name, read) in _COLUMNS.items()
        },
        **{start: Format(name, advice=_UNPACK) for start, name in _PACKED.items()},
        **{start: Format(f"{it} text, not UTF-8", f"iconv -f {it} -t UTF-8") for start, it in _ENCODINGS.items()},
        **_TEXT,
        rb"\x1e": _SEQUENCE,
    }.items()
]

_TAR = Format("a tar archive", "tar -xOf -", "if it holds JSON Lines")
_CR_ENDS = Format("JSON Lines with CR line ends (old Mac OS)", "tr '\\r' '\\n'")
_YAML = Format("YAML", advice=_EXPORT)
_PLAIN = Format("text that is not JSON", advice=_EXPORT)
_PREFIXES = Format("text with something before each record", "sed 's/^[^{]*//'")
_DATA = Format("binary data", advice=_EXPORT)

_ROWS = (
    'read = {{"start_time": lambda it: int(it) if it.isdigit() else it, '
    '"tags": lambda it: (json.loads if "\\"" in it else ast.literal_eval)(it)}}; '
    "[print(json.dumps({{k: read.get(k, str)(v) for k, v in row.items() if k and v}})) "
    "for row in csv.DictReader(sys.stdin{})]"
)
_DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "CSV with vertical bars"}
_COLUMN = re.compile(r"[^\W\d][\w .:/()\[\]@#%-]*")
_OF_RUNS = frozenset({"job_id", "experiment_id", "run_name", "start_time", "run_id", "run_uuid", "Run ID"})

_TAR_MAGIC = slice(257, 262)
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_ENTRY = re.compile(rb"---$|\s*- |\s*[\"']?([A-Za-z_][\w.\-/ ]*)[\"']?:(?:\s|$)")  # of YAML
_NOT_IN_LATIN_1 = re.compile(rb"[\x80-\x9f]")
_ALIKE = 3  # so many lines with the same fault are no bad records, but another format
_LOOKED_AT = 1024  # bytes in which binary data is noticed
_LINES_OF_TEXT = 20  # so many lines before the first `{` are no bad records, but another format


def format_of(opening: Opening) -> Format | None:
    """Return the format of an input that begins so; None if it is JSON Lines, or not known.

    A few bad lines before a record make no other format.
    """
    if not opening.lines or opening.records[:1] == [True]:
        return commas_between(opening)
    if opening.head[_TAR_MAGIC] == b"ustar":  # an archive has the text of its files as it is
        return _TAR
    is_zip = opening.head.startswith(b"PK\x03\x04")
    recognizers = (json_format,) if opening.has_records and not is_zip else _RECOGNIZERS
    return next((it for recognize in recognizers if (it := recognize(opening)) is not None), None)


def _beginning(opening: Opening) -> Format | None:
    if (packed := compression_of(opening.head)) is not None:
        return Format(f"{packed.name} data", packed.command)
    return next((it for start, it in _BEGINNINGS if start.match(opening.head)), None)


def _line_ends(opening: Opening) -> Format | None:
    """Recognize lines that end in CR, and not in LF. What they hold may be another format too."""
    if b"\n" in opening.head or b"\r" not in opening.head:
        return None
    lines = Opening(opening.head.replace(b"\r", b"\n"), is_cut=opening.is_cut)
    found = _CR_ENDS if lines.has_records else format_of(lines)
    if found is None or found is _CR_ENDS or not found.convert:
        return found
    return replace(found, convert=f"{_CR_ENDS.convert} | {found.convert}")


def _table(opening: Opening) -> Format | None:
    """Recognize a table with a line of column names."""
    for delimiter, name in _DELIMITERS.items():
        columns, *others = [_cells(line, delimiter) for line in opening.lines]
        named = columns if columns and columns[0] else columns[1:]  # the index of a data frame has no name
        is_header = len(set(named)) == len(named) and all(map(_COLUMN.fullmatch, named))
        fits = bool(others) and all(len(row) == len(columns) for row in others)
        if len(columns) > 1 and is_header and (fits or _OF_RUNS.intersection(named)):
            option = "" if delimiter == "," else f', delimiter="{delimiter}"'.replace("\t", "\\t")
            convert = f"python3 -c 'import ast, csv, json, sys; {_ROWS.format(option)}'"
            return Format(name, convert, _NAME_COLUMNS)
    return None


def _cells(line: bytes, delimiter: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line.decode(errors="replace")], delimiter=delimiter), [])]
    except csv.Error:  # a cell is too long
        return []


def _encoding(opening: Opening) -> Format | None:
    """Recognize objects in an encoding with one byte a character, if no line is UTF-8."""
    lines = opening.lines[: len(opening.records)]
    if len(lines) < _ALIKE or not all(not is_utf8(it) and is_object(it.decode("latin-1").encode()) for it in lines):
        return None
    name = "WINDOWS-1252" if _NOT_IN_LATIN_1.search(opening.head) else "ISO-8859-1"
    return Format(
        f"text in an encoding such as {name}, not UTF-8",
        f"iconv -f {name} -t UTF-8",
        "if the file has another encoding, name that one",
    )


def _prefixes(opening: Opening) -> Format | None:
    """Recognize records after other text on the same line, as in a log or a stream of events."""
    found = [rest for line in opening.lines if line.find(b"{") > 0 and is_record(rest := line[line.index(b"{") :])]
    return _PREFIXES if len(found) > 1 and opening.is_plain else None


def _data(opening: Opening) -> Format | None:
    if _CONTROL.search(opening.head[:_LOOKED_AT]):
        return _DATA
    entries = [it for line in opening.lines if (it := _ENTRY.match(line)) is not None]
    keys = [entry[1] for entry in entries if entry[1]]
    if len(opening.lines) == len(entries) > 1 and len(set(keys)) == len(keys):
        return _YAML
    return _PLAIN if opening.is_plain and opening.head.count(b"\n") >= _LINES_OF_TEXT else None


_RECOGNIZERS: tuple[Callable[[Opening], Format | None], ...] = (
    _beginning,
    _line_ends,
    _encoding,
    json_format,
    _prefixes,
    _table,
    _data,
)
