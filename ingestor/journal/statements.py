"""What the writer says to SQLite: every statement takes many rows and returns at most one.

sqlite3 gives up the GIL at each step of a statement, and beside a busy event loop each return costs up to the
interpreter's switch interval: a statement for each row, or a row for each answer, is slower a hundredfold there.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
from msgspec import Struct

from ingestor.journal import inputs
from ingestor.journal.index import FIND, hash_of
from ingestor.journal.schema import State
from ingestor.journal.values import Value, chunks, flat, places, present, storable
from ingestor.model.journal_time import JournalTime
from ingestor.model.outcome import Result
from ingestor.model.record import Job
from ingestor.model.source import Source
from ingestor.policy.identity import Scope


class Row(Struct, array_like=True, gc=False):
    """What the journal knows of a job that is admitted again: the job whose place among those asked for is `place`.

    `same_body` is whether it had the same digest, `token` the row's where it is not the job's.
    """

    place: int
    id: int
    same_body: bool
    state: State
    token: str | None
    first_sent_at: float
    stamped: bool
    run_id: str | None


_rows = msgspec.json.Decoder(list[Row], strict=False).decode  # SQLite tells true from 1 no more than false from 0


@dataclass(frozen=True, slots=True)
class ExecutionStart:
    """When a pass begins, whether its runs go to this machine (None: nobody knows), and what it is to read."""

    now: float
    rehearsal: bool | None
    sources: Sequence[Source]


@dataclass(frozen=True, slots=True)
class ExecutionEnd:
    """How a pass ended: records per outcome, jobs left without one, the exit code, when; `told` as in Settlement."""

    counts: Mapping[str, int]
    left: int
    exit_code: int
    now: float
    told: int | None


def find_batch(connection: sqlite3.Connection, scope: Scope) -> int:
    """Return the id of a batch, which is added where it is new."""
    names = (scope.platform, scope.workspace, scope.batch)
    connection.execute("INSERT OR IGNORE INTO batch (platform, workspace, name) VALUES (?, ?, ?)", names)
    found = connection.execute("SELECT id FROM batch WHERE (platform, workspace, name) = (?, ?, ?)", names)
    return int(found.fetchone()[0])


def last_moment(connection: sqlite3.Connection) -> JournalTime | None:
    """Return the last moment that the journal has witnessed, None where it is new."""
    found = connection.execute("SELECT time, wall, trusted_since FROM moment").fetchone()
    return None if found is None else JournalTime(*found)


def witness(connection: sqlite3.Connection, now: JournalTime) -> None:
    """Remember a moment, which is none before the last one."""
    connection.execute(
        "INSERT OR REPLACE INTO moment (id, time, wall, trusted_since) VALUES (1, ?, ?, ?)",
        (now.time, now.wall, now.trusted_since),
    )


def find_rows(connection: sqlite3.Connection, batch: int, jobs: Sequence[Job], hashes: Sequence[int]) -> dict[str, Row]:
    """Return what is known of each job, by its key; a key never seen is left out. `hashes` are those of the keys."""
    asked = [
        (place, hash_, job.key, job.digest, job.token)
        for place, (job, hash_) in enumerate(zip(jobs, hashes, strict=True))
    ]
    found: dict[str, Row] = {}
    for chunk in chunks(asked):
        (answer,) = connection.execute(
            f"""
            WITH asked (place, hash, key, digest, token) AS (VALUES {places(chunk)})
            SELECT json_group_array(json_array(
                place, id, job.digest = asked.digest, state, nullif(job.token, asked.token),
                first_sent_at, stamped, run_id
            ))
            FROM ({FIND}) AS asked CROSS JOIN job ON job.id = asked.job
            WHERE job.batch = ? AND job.key = asked.key
            """,  # noqa: S608 - only placeholders are put in
            (*flat(chunk), batch),
        ).fetchone()
        found |= {jobs[row.place].key: row for row in _rows(answer)}
    return found


def find_ids(connection: sqlite3.Connection, batch: int, keys: Sequence[str]) -> dict[str, int]:
    """Return the numbers of the rows of keys; a key never seen is left out."""
    found: dict[str, int] = {}
    for chunk in chunks([(key, hash_of(batch, key)) for key in keys]):
        (answer,) = connection.execute(
            f"""
            WITH asked (key, hash) AS (VALUES {places(chunk)})
            SELECT json_group_object(job.key, job.id) FROM ({FIND}) AS asked CROSS JOIN job ON job.id = asked.job
            WHERE job.batch = ? AND job.key = asked.key
            """,  # noqa: S608 - only placeholders are put in
            (*flat(chunk), batch),
        ).fetchone()
        found |= json.loads(answer)
    return found


def add_intents(
    connection: sqlite3.Connection, batch: int, jobs: Sequence[Job], *, first: int, stamped: bool, now: float
) -> None:
    """Write the intents of jobs never seen, as rows numbered from `first` on."""
    common = (batch, State.PENDING, stamped, now, now)
    rows: list[tuple[Value, ...]] = [
        (
            number,
            *common,
            job.key,
            job.digest,
            job.token,
            storable(job.origin.source),
            job.origin.line,
            storable(job.experiment_id),
        )
        for number, job in enumerate(jobs, first)
    ]
    for chunk in chunks(rows):
        connection.execute(
            f"""
            INSERT INTO job (id, batch, state, stamped, first_sent_at, updated_at,
                             key, digest, token, source, line, experiment_id)
            {present(chunk)}
            """,
            flat(chunk),
        )


def move(connection: sqlite3.Connection, moves: Sequence[tuple[int, State, float]], *, now: float) -> None:
    """Put rows into another state: each is (row id, state, first sent at)."""
    for chunk in chunks(moves):
        connection.execute(
            f"""
            WITH moved (id, state, first_sent_at) AS (VALUES {places(chunk)})
            UPDATE job SET state = moved.state, first_sent_at = moved.first_sent_at, updated_at = ?
            FROM moved WHERE job.id = moved.id
            """,  # noqa: S608 - only placeholders are put in
            (*flat(chunk), now),
        )


def settle(connection: sqlite3.Connection, ended: Sequence[tuple[int, Result]], *, now: float) -> None:
    """Write how the jobs of these rows ended."""
    rows = [(number, *_ending(result)) for number, result in ended]
    for chunk in chunks(rows):
        connection.execute(
            f"""
            WITH ended (
                    id, state, run_id, http_status, error_code, error_message, opc_request_id, attempts, experiment_id
                ) AS (VALUES {places(chunk)})
            UPDATE job SET
                state = ended.state, run_id = ended.run_id, http_status = ended.http_status,
                error_code = ended.error_code, error_message = ended.error_message,
                opc_request_id = ended.opc_request_id, attempts = job.attempts + ended.attempts,
                experiment_id = ended.experiment_id, updated_at = ?
            FROM ended WHERE job.id = ended.id
            """,  # noqa: S608 - only placeholders are put in
            (*flat(chunk), now),
        )


def release(connection: sqlite3.Connection, numbers: Sequence[int], *, after: int) -> None:
    """Take back pending intents: those of rows past `after` vanish, those of jobs that had failed fail again.

    Any other intent stays: an earlier process wrote it, and nobody knows what that one sent.
    """
    for chunk in chunks([(number,) for number in numbers]):
        of_these = f"id IN (VALUES {places(chunk)}) AND state = '{State.PENDING}'"
        connection.execute(
            f"DELETE FROM job WHERE {of_these} AND attempts = 0 AND id > ?",  # noqa: S608 - only placeholders
            (*flat(chunk), after),
        )
        connection.execute(
            f"UPDATE job SET state = '{State.FAILED}' WHERE {of_these} AND attempts > 0",  # noqa: S608 - as above
            flat(chunk),
        )


def start_execution(connection: sqlite3.Connection, batch: int, beginning: ExecutionStart) -> int:
    """Write that a pass over the batch begins; return its id."""
    connection.execute("UPDATE batch SET rehearsal = coalesce(?, rehearsal) WHERE id = ?", (beginning.rehearsal, batch))
    started = connection.execute("INSERT INTO pass (batch, started_at) VALUES (?, ?)", (batch, beginning.now))
    inputs.begin(connection, batch, cast("int", started.lastrowid), beginning.sources)
    return cast("int", started.lastrowid)


def finish_execution(connection: sqlite3.Connection, pass_id: int, ending: ExecutionEnd) -> None:
    """Write how a pass ended."""
    connection.execute(
        "UPDATE pass SET ended_at = ?, exit_code = ?, counts = ?, remaining = ? WHERE id = ?",
        (ending.now, ending.exit_code, json.dumps(dict(ending.counts)), ending.left, pass_id),
    )


def _ending(result: Result) -> tuple[Value, ...]:
    return (
        State(result.outcome.value),
        storable(result.run_id),
        result.http_status,
        storable(result.error_code),
        storable(result.error_message),
        storable(result.opc_request_id),
        result.attempts,
        storable(result.job.experiment_id),
    )
