"""What earlier passes over a batch left, for `resume`. Journals of every version are read as they are."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from ingestor.journal import inputs
from ingestor.journal.database import NAME, explained, open_read_only
from ingestor.journal.inputs import KnownInput
from ingestor.journal.reader import Execution, find_last_execution, journal_of
from ingestor.journal.schema import version
from ingestor.policy.identity import Scope

Found = TypeVar("Found")


def batches(state_path: Path, *, platform: str, workspace: str) -> list[str]:
    """Return the names of a target's batches, in the order of their beginning. Raises UsageError without a journal."""
    path = journal_of(state_path)
    with closing(open_read_only(path, oldest=1)) as connection, explained(path):
        rows = connection.execute(
            "SELECT name FROM batch WHERE platform = ? AND workspace = ? ORDER BY id", (platform, workspace)
        ).fetchall()
    return [name for (name,) in rows]


def last_execution(state_path: Path, scope: Scope) -> Execution | None:
    """Return the last pass over a batch; None where there is none."""
    return _in_batch(state_path, scope, find_last_execution)


def unfinished_sources(state_path: Path, scope: Scope) -> list[str]:
    """Return the sources of the batch's jobs that have no known end, or were shown to have no run (NotCreated).

    First met first; [] where there is no journal.
    """
    return _in_batch(state_path, scope, inputs.find_unfinished) or []


def sources_in_doubt(state_path: Path, scope: Scope) -> list[str]:
    """Return the sources of the batch's jobs that have no known end; [] where there is no journal."""
    return _in_batch(state_path, scope, inputs.find_in_doubt) or []


def known_inputs(state_path: Path, scope: Scope) -> list[KnownInput]:
    """Return what `inputs.find` does; [] where there is no journal, or an older one."""
    return _in_batch(state_path, scope, _inputs) or []


def _in_batch(state_path: Path, scope: Scope, find: Callable[[sqlite3.Connection, int], Found]) -> Found | None:
    """Return what is found of a batch; None where there is no such batch."""
    path = state_path / NAME
    if not path.exists():
        return None
    with closing(open_read_only(path, oldest=1)) as connection, explained(path):
        names = (scope.platform, scope.workspace, scope.batch)
        row = connection.execute(
            "SELECT id FROM batch WHERE platform = ? AND workspace = ? AND name = ?", names
        ).fetchone()
        return None if row is None else find(connection, row[0])


def _inputs(connection: sqlite3.Connection, batch: int) -> list[KnownInput]:
    if version(connection) >= inputs.SINCE:
        return inputs.find(connection, batch)
    return inputs.find_names(connection, batch) if version(connection) == inputs.SINCE - 1 else []
