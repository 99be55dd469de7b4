"""What a monitor asks about a batch from time to time: two times, found quickly in a journal of any size."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from ingestor.journal.reader import in_batch
from ingestor.policy.identity import Scope


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """Times, in seconds since the epoch.

    Attributes:
        oldest_unresolved: when the oldest job was first sent that is unresolved; None if there is none.
        last_success: when an execution last ended with exit code 0; None if none did.
        last_exit_code: of the last execution that ended; None if none did.
    """

    oldest_unresolved: float | None = None
    last_success: float | None = None
    last_exit_code: int | None = None


def facts_of(state_path: Path, scope: Scope) -> BatchFacts:
    """Return what the journal knows; in any thread, while another process may write. Raises JournalError."""
    return in_batch(state_path, scope, _facts) or BatchFacts()


def _facts(connection: sqlite3.Connection, batch: int) -> BatchFacts:
    (oldest,) = connection.execute(
        "SELECT min(first_sent_at) FROM job WHERE batch = ? AND state <> 'created' AND state = 'unresolved'", (batch,)
    ).fetchone()
    (success,) = connection.execute(
        "SELECT max(ended_at) FROM execution WHERE batch = ? AND exit_code = 0", (batch,)
    ).fetchone()
    last = connection.execute(
        "SELECT exit_code FROM execution WHERE batch = ? AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 1", (batch,)
    ).fetchone()
    return BatchFacts(oldest, success, None if last is None else last[0])
