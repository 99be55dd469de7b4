"""What earlier passes over a batch left, for `resume`. Journals of every version are read as they are."""

import json
from contextlib import closing
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


def unread_files(state_path: Path, scope: Scope) -> list[str]:
    """Return the files that the last pass over the batch was to read, where it did not come to its end; else []."""
    path = state_path / NAME
    if not path.exists():
        return []
    with closing(open_read_only(path, oldest=1)) as connection, explained(path):
        if version(connection) < _KNOWS_FILES:
            return []
        names = (scope.platform, scope.workspace, scope.batch)
        row = connection.execute(_LAST_FILES, names).fetchone()
    if row is None or row[0] is None or row[1] in _COMPLETE:
        return []
    return list(json.loads(row[0]))


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
