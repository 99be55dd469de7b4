"""The table of batches: under which target each one is known, and by which addresses.

A workspace of AIDP is known by its platform and its key, whatever its address. A tracking server has nothing but its
address: the batch is known by the first one, which is in the place of the platform. Further addresses of the same
server, which the user named so, are in `server_address`. The tokens and keys are those of the first address.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from ingestor.model.errors import UsageError
from ingestor.model.record import State
from ingestor.model.text import printable
from ingestor.policy.identity import Scope
from ingestor.policy.run_ids import REPEATED_RUN, repeated_run_of

_HAS_NO_RUN = "state IN ('failed', 'forgotten') AND coalesce(former_state, 'failed') = 'failed'"


@dataclass(frozen=True, slots=True)
class KnownBatch:
    """A batch of the journal.

    Attributes:
        number: its row.
        scope: what its keys are unique in.
        addresses: further addresses of its tracking server.
        may_have_runs: whether a job of it has a run, or may have one.
    """

    number: int
    scope: Scope
    addresses: tuple[str, ...]
    may_have_runs: bool

    def is_at(self, address: str) -> bool:
        """Whether this address of a tracking server is one of its own."""
        return address == self.scope.platform or address in self.addresses


def find_or_create(connection: sqlite3.Connection, scope: Scope) -> int:
    """Return the id of a batch; create the batch if it is new."""
    names = (scope.platform, scope.workspace, scope.batch)
    connection.execute("INSERT OR IGNORE INTO batch (platform, workspace, name) VALUES (?, ?, ?)", names)
    found = connection.execute("SELECT id FROM batch WHERE (platform, workspace, name) = (?, ?, ?)", names)
    return int(found.fetchone()[0])


def keep_address(connection: sqlite3.Connection, batch: int, address: str) -> None:
    """Write a further address of the tracking server of a batch."""
    connection.execute("INSERT OR IGNORE INTO server_address (batch, address) VALUES (?, ?)", (batch, address))


def find_batches(connection: sqlite3.Connection) -> list[KnownBatch]:
    """Return all batches, oldest first."""
    addresses: dict[int, tuple[str, ...]] = {}
    for batch, address in connection.execute("SELECT batch, address FROM server_address ORDER BY batch, address"):
        addresses[batch] = (*addresses.get(batch, ()), address)
    rows = connection.execute(
        f"""
        SELECT id, platform, workspace, name, EXISTS (
            SELECT 1 FROM job WHERE job.batch = batch.id AND NOT ({_HAS_NO_RUN})
        ) OR EXISTS (SELECT 1 FROM pruned WHERE pruned.batch = batch.id) FROM batch ORDER BY id
        """  # noqa: S608 - a constant
    )
    return [KnownBatch(id_, Scope(*names), addresses.get(id_, ()), bool(used)) for id_, *names, used in rows.fetchall()]


def target_has_runs(connection: sqlite3.Connection, batch: int) -> bool:
    """Return whether a batch of the same target has a run. A rehearsal says nothing about the real service."""
    found = connection.execute(
        """
        SELECT EXISTS (
            SELECT 1 FROM batch AS own
            JOIN batch AS other ON (other.platform, other.workspace) = (own.platform, own.workspace)
            WHERE own.id = ? AND other.rehearsal IS own.rehearsal AND (
                EXISTS (SELECT 1 FROM job WHERE job.batch = other.id AND state IN ('created', 'partial'))
                OR EXISTS (SELECT 1 FROM pruned WHERE pruned.batch = other.id)
            )
        )
        """,
        (batch,),
    )
    return bool(found.fetchone()[0])


def recent_runs(connection: sqlite3.Connection, batch: int, limit: int) -> list[tuple[str, str]]:
    """Return the runs of the last `limit` jobs of a batch, the oldest first, each with the job's retry token.

    After them, with "" instead of a token: the runs that answers to other records repeated (`policy.run_ids`).
    """
    runs = connection.execute(
        "SELECT run_id, token FROM (SELECT id, run_id, token FROM job WHERE batch = ? ORDER BY id DESC LIMIT ?)"
        " WHERE run_id IS NOT NULL ORDER BY id",
        (batch, limit),
    ).fetchall()
    repeated = connection.execute(
        f"""
        SELECT error_message FROM (
            SELECT error_code, error_message FROM job
            WHERE batch = ? AND state = '{State.UNRESOLVED}' AND state <> 'created' ORDER BY id DESC LIMIT ?
        ) WHERE error_code = '{REPEATED_RUN}'
        """,  # noqa: S608 - constants
        (batch, limit),
    )
    known = dict(runs)
    named = {repeated_run_of(message or "") for (message,) in repeated.fetchall()}
    return runs + [(run_id, "") for run_id in named if run_id and run_id not in known]


def unknown_batch(batch: str, known: Sequence[str], state_path: object) -> UsageError:
    """Return the error for the name of a batch that is not among those that are known."""
    names = ", ".join(map(printable, dict.fromkeys(known))) or "none yet"
    journal = f"the journal in {printable(str(state_path))}"
    return UsageError(f"Batch {printable(batch)}: {journal} has no such batch; it has {names}.")
