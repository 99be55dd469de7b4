"""The records that a program gives to the library: paths, or the records themselves."""

from collections.abc import AsyncIterable, Iterable, Mapping
from os import PathLike, fspath

from ingestor.policy.identity import Scope
from ingestor.sources.inputs import IterableInput

AnyPath = str | PathLike[str]
Records = AnyPath | Iterable[object] | AsyncIterable[object]
"""Records to read.

A path, or a list or tuple of paths: files, globs and directories, as on the command line. A dictionary: one record.
Any other iterable or async iterable: each item is a record, as a dictionary or as its JSON (str or bytes).
"""

OBJECTS = "records"
"""The name of the source of records that are objects of a program."""


def paths_of(records: Records) -> list[str] | None:
    """Return the paths that records are read from; None where `records` are the records themselves."""
    if isinstance(records, str | PathLike):
        return [fspath(records)]
    if isinstance(records, list | tuple) and records and all(isinstance(item, str | PathLike) for item in records):
        return [fspath(path) for path in records]
    return None


def objects_of(records: Records, scope: Scope) -> IterableInput:
    """Return the input that reads the objects of a program."""
    given = [records] if isinstance(records, Mapping | bytes | str | PathLike) else records
    return IterableInput(given, scope, OBJECTS)
