"""Text with a table or a tree that is not JSON: CSV and its relatives, and YAML."""

import csv
import re

from ingestor.sources.opening import FILE, Format, Opening

_ROWS = (
    '[print(json.dumps({{k: int(v) if k == "start_time" and v.isdigit() else v for k, v in row.items() if k and v}})) '
    "for row in csv.DictReader(sys.stdin{})]"
)
_DOCUMENTS = (
    "[print(json.dumps(it, default=str)) for part in yaml.safe_load_all(sys.stdin) "
    "for it in (part if isinstance(part, list) else [part])]"
)
COLUMNS = "give its columns the names of a record's fields first"

_DELIMITERS = {",": "CSV", "\t": "TSV", ";": "CSV with semicolons", "|": "CSV with vertical bars"}
_COLUMN = re.compile(r"[^\W\d][\w .:/()\[\]@#%-]*")
_OF_RUNS = frozenset({"job_id", "experiment_id", "run_name", "start_time", "run_id", "run_uuid", "Run ID"})

_YAML = Format("YAML", f"python3 -c 'import json, sys, yaml; {_DOCUMENTS}' < {FILE}")
_META = Format(
    "the meta.yaml of an MLflow run or experiment",
    advice="read the runs with `mlflow.search_runs`, and write one JSON object a line",
)
_META_KEYS = frozenset({b"artifact_uri", b"artifact_location", b"lifecycle_stage", b"run_id", b"run_uuid"})
_KEY = re.compile(rb"[\"']?([A-Za-z_][\w.\-/ ]*)[\"']?:(?:\s|$)")
_ENTRY = re.compile(rb"\s*- |\s*[\"']?[A-Za-z_][\w.\-/ ]*[\"']?:(?:\s|$)")


def table_format(opening: Opening) -> Format | None:
    """Return the format if it is a table with a line of column names."""
    for delimiter, name in _DELIMITERS.items():
        rows = [_cells(line, delimiter) for line in opening.lines]
        columns, *others = rows
        if len(columns) > 1 and _are_columns(columns) and (_OF_RUNS.intersection(columns) or _fit(columns, others)):
            option = "" if delimiter == "," else f', delimiter="{delimiter}"'.replace("\t", "\\t")
            return Format(name, f"python3 -c 'import csv, json, sys; {_ROWS.format(option)}' < {FILE}", advice=COLUMNS)
    return None


def tree_format(opening: Opening) -> Format | None:
    """Return the format if it is YAML."""
    first, *others = opening.lines
    keys = [key[1] for line in opening.lines if (key := _KEY.match(line)) is not None]
    if _META_KEYS.intersection(keys):
        return _META
    if first == b"---" or first.startswith(b"%YAML"):
        return _YAML
    is_tree = bool(others) and (first.startswith(b"- ") or _KEY.match(first) is not None)
    return _YAML if is_tree and all(map(_ENTRY.match, others)) and len(set(keys)) == len(keys) else None


def _cells(line: bytes, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line.decode(errors="replace")], delimiter=delimiter), [])
    except csv.Error:  # a cell is too long
        return []


def _are_columns(cells: list[str]) -> bool:
    named = cells[1:] if not cells[0].strip() else cells  # the index of a data frame has no name
    return len(set(named)) == len(named) and all(_COLUMN.fullmatch(cell.strip()) for cell in named)


def _fit(columns: list[str], others: list[list[str]]) -> bool:
    return bool(others) and all(len(row) == len(columns) for row in others)
