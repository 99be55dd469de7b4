"""What the writer says to SQLite: every statement takes many rows and returns at most one.

sqlite3 gives up the GIL at each step of a statement, and beside a busy event loop each return costs up to the
interpreter's switch interval: a statement for each row, or a row for each answer, is slower a hundredfold there.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ingestor.journal.schema import State
from ingestor.model.job import Job
from ingestor.model.moment import Moment
from ingestor.model.outcome import Result
from ingestor.policy.identity import Scope

Value = str | bytes | float | None
"""What SQLite takes."""

_CHUNK = 500  # rows in a statement: the widest row has 11 values, and SQLite takes 32,766 parameters


@dataclass(frozen=True, slots=True)
class Row:
    """What the journal knows of a key when it is admitted again."""

    id: int
    digest: bytes
    state: State
    token: str
    first_sent_at: float
    stamped: bool
    run_id: str | None


@dataclass(frozen=True, slots=True)
class Ending:
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


def last_moment(connection: sqlite3.Connection) -> Moment | None:
    """Return the last moment that the journal has witnessed, None where it is new."""
    found = connection.execute("SELECT time, wall, sure_since FROM moment").fetchone()
    return None if found is None else Moment(*found)


def witness(connection: sqlite3.Connection, now: Moment) -> None:
    """Remember a moment, which is none before the last one."""
    connection.execute(
        "INSERT OR REPLACE INTO moment (id, time, wall, sure_since) VALUES (1, ?, ?, ?)",
        (now.time, now.wall, now.sure_since),
    )


def find_rows(connection: sqlite3.Connection, batch: int, keys: Sequence[str]) -> dict[str, Row]:
    """Return what is known of each key; a key never seen is left out."""
    found = {}
    for chunk in chunks([(key,) for key in keys]):
        (answer,) = connection.execute(
            f"""
            WITH asked (number, key) AS (SELECT row_number() OVER (), column1 FROM (VALUES {places(chunk)}))
            SELECT json_group_array(json_array(
                number, id, hex(digest), state, token, first_sent_at, stamped, run_id
            ))
            FROM asked CROSS JOIN job ON job.batch = ? AND job.key = asked.key
            """,  # noqa: S608 - only placeholders are put in
            (*flat(chunk), batch),
        ).fetchone()
        for number, id_, digest, state, token, first_sent_at, stamped, run_id in json.loads(answer):
            (key,) = chunk[number - 1]
            row = Row(id_, bytes.fromhex(digest), State(state), token, first_sent_at, bool(stamped), run_id)
            found[str(key)] = row
    return found


def add_intents(connection: sqlite3.Connection, batch: int, jobs: Sequence[Job], *, stamped: bool, now: float) -> None:
    """Write the intents of jobs never seen."""
    common = (batch, State.PENDING, stamped, now, now)
    rows: list[tuple[Value, ...]] = [
        (
            *common,
            job.key,
            job.digest,
            job.token,
            storable(job.origin.source),
            job.origin.line,
            storable(job.experiment_id),
        )
        for job in jobs
    ]
    for chunk in chunks(rows):
        connection.execute(
            f"""
            INSERT INTO job (batch, state, stamped, first_sent_at, updated_at,
                             key, digest, token, source, line, experiment_id)
            VALUES {places(chunk)}
            """,  # noqa: S608 - only placeholders are put in
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


def settle(connection: sqlite3.Connection, batch: int, results: Sequence[Result], *, now: float) -> int:
    """Write how jobs ended; return how many of them had an intent."""
    rows = [_ending(result) for result in results]
    before = connection.total_changes
    for chunk in chunks(rows):
        connection.execute(
            f"""
            WITH ended (
                    key, state, run_id, http_status, error_code, error_message, opc_request_id, attempts, experiment_id
                ) AS (VALUES {places(chunk)})
            UPDATE job SET
                state = ended.state, run_id = ended.run_id, http_status = ended.http_status,
                error_code = ended.error_code, error_message = ended.error_message,
                opc_request_id = ended.opc_request_id, attempts = job.attempts + ended.attempts,
                experiment_id = ended.experiment_id, updated_at = ?
            FROM ended WHERE job.batch = ? AND job.key = ended.key
            """,  # noqa: S608 - only placeholders are put in
            (*flat(chunk), now, batch),
        )
    return connection.total_changes - before


def release(connection: sqlite3.Connection, batch: int, keys: Sequence[str], *, after: int) -> None:
    """Take back pending intents: those of rows past id `after` vanish, those of jobs that had failed fail again.

    Any other intent stays: an earlier process wrote it, and nobody knows what that one sent.
    """
    for chunk in chunks([(key,) for key in keys]):
        of_these = f"batch = ? AND key IN (VALUES {places(chunk)}) AND state = '{State.PENDING}'"
        parameters = (batch, *flat(chunk))
        connection.execute(
            f"DELETE FROM job WHERE {of_these} AND attempts = 0 AND id > ?",  # noqa: S608 - only placeholders
            (*parameters, after),
        )
        connection.execute(
            f"UPDATE job SET state = '{State.FAILED}' WHERE {of_these} AND attempts > 0",  # noqa: S608 - as above
            parameters,
        )


def start_pass(connection: sqlite3.Connection, batch: int, *, now: float, rehearsal: bool | None) -> int:
    """Write that a pass over the batch begins, and where its runs go; return its id."""
    connection.execute("UPDATE batch SET rehearsal = coalesce(?, rehearsal) WHERE id = ?", (rehearsal, batch))
    started = connection.execute("INSERT INTO pass (batch, started_at) VALUES (?, ?)", (batch, now))
    return cast("int", started.lastrowid)


def finish_pass(connection: sqlite3.Connection, pass_id: int, ending: Ending) -> None:
    """Write how a pass ended."""
    connection.execute(
        "UPDATE pass SET ended_at = ?, exit_code = ?, counts = ?, remaining = ? WHERE id = ?",
        (ending.now, ending.exit_code, json.dumps(dict(ending.counts)), ending.left, pass_id),
    )


def last_id(connection: sqlite3.Connection) -> int:
    """Return the id of the last row of `job`, 0 where there is none."""
    return int(connection.execute("SELECT coalesce(max(id), 0) FROM job").fetchone()[0])


def _ending(result: Result) -> tuple[Value, ...]:
    return (
        result.job.key,
        State(result.outcome.value),
        storable(result.run_id),
        result.http_status,
        storable(result.error_code),
        storable(result.error_message),
        storable(result.opc_request_id),
        result.attempts,
        storable(result.job.experiment_id),
    )


def chunks(rows: Sequence[tuple[Value, ...]]) -> Iterator[Sequence[tuple[Value, ...]]]:
    """Yield the rows in portions that fit in a statement."""
    return (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))


def places(rows: Sequence[tuple[Value, ...]]) -> str:
    """Return the placeholders of rows of one width, as they stand behind VALUES."""
    return ",".join([f"({','.join('?' * len(rows[0]))})"] * len(rows))


def flat(rows: Sequence[tuple[Value, ...]]) -> list[Value]:
    """Return the values of rows as parameters."""
    return [value for row in rows for value in row]


def storable(value: str | None) -> str | None:
    """Make text storable: a lone surrogate, as in a file name or a hostile answer, becomes its escape."""
    return None if value is None else value.encode("utf-8", "backslashreplace").decode()
