"""What earlier passes over a batch left, for `resume`. Journals of every version are read as they are."""

import json
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ingestor.journal.database import NAME, explained, open_read_only
from ingestor.journal.reader import Pass, find_last_pass, journal_of
from ingestor.journal.schema import version
from ingestor.model.errors import ExitCode
from ingestor.policy.identity import Scope


def batches(state_path: Path, *, platform: str, workspace: str) -> list[str]:
    """Return the names of a target's batches, in the order of their beginning. Raises UsageError without a journal."""
    path = journal_of(state_path)
    with closing(open_read_only(path, oldest=1)) as connection, explained(path):
        rows = connection.execute(
            "SELECT name FROM batch WHERE platform = ? AND workspace = ? ORDER BY id", (platform, workspace)
        ).fetchall()
    return [name for (name,) in rows]


def last_pass(state_path: Path, scope: Scope) -> Pass | None:
    """Return the last pass over a batch; None where there is none."""
    path = state_path / NAME
    if not path.exists():
        return None
    with closing(open_read_only(path, oldest=1)) as connection, explained(path):
        names = (scope.platform, scope.workspace, scope.batch)
        row = connection.execute(
            "SELECT id FROM batch WHERE platform = ? AND workspace = ? AND name = ?", names
        ).fetchone()
        return None if row is None else find_last_pass(connection, row[0])


def unfinished_sources(state_path: Path, scope: Scope) -> list[str]:
    """Return the sources of the batch's jobs that have no known end, or were shown to have no run (NotCreated).

    First met first; [] where there is no journal.
    """
    path = state_path / NAME
    if not path.exists():
        return []
    with closing(open_read_only(path, oldest=1)) as connection, explained(path):
        rows = connection.execute(_UNFINISHED_SOURCES, (scope.platform, scope.workspace, scope.batch)).fetchall()
    return [source for (source,) in rows]


@dataclass(frozen=True, slots=True)
class Files:
    """What the last pass over a batch was to read: absolute paths by the names that are sources in the journal.

    `are_unread` is whether it did not come to its end.
    """

    paths: Mapping[str, str]
    are_unread: bool


def last_files(state_path: Path, scope: Scope) -> Files:
    """Return the files that the last pass over the batch was to read, as far as anybody knows."""
    path = state_path / NAME
    if not path.exists():
        return _NONE
    with closing(open_read_only(path, oldest=1)) as connection, explained(path):
        if version(connection) < _KNOWS_FILES:
            return _NONE
        names = (scope.platform, scope.workspace, scope.batch)
        row = connection.execute(_LAST_FILES, names).fetchone()
    return _NONE if row is None or row[0] is None else Files(json.loads(row[0]), row[1] not in _COMPLETE)


_NONE = Files({}, are_unread=False)
_KNOWS_FILES = 6
_COMPLETE = (ExitCode.OK, ExitCode.INCOMPLETE)
_LAST_FILES = """
    SELECT files, exit_code FROM pass JOIN batch ON batch.id = pass.batch
    WHERE platform = ? AND workspace = ? AND batch.name = ?
    ORDER BY pass.id DESC LIMIT 1
"""

_UNFINISHED_SOURCES = """
    SELECT source FROM job JOIN batch ON batch.id = job.batch
    WHERE platform = ? AND workspace = ? AND batch.name = ?
      AND state <> 'created' AND (state IN ('pending', 'unresolved') OR error_code = 'NotCreated')
    GROUP BY source ORDER BY min(job.id)
"""
