"""What a later execution continues with: kept records, jobs whose outcome is not known, outcomes that the log may lack.

**The outbox** is written in the transactions that end jobs, because a process may die between an outcome's commit and
its line in the log. So each outcome is written here as its job ends, and deleted once the log has it on disk. The next
execution logs what is left. Outcomes of a batch are numbered from 1 without gaps, over all executions, and no number is
used twice. The numbers of deleted rows would be lost with them; therefore `batch.acknowledged` has the last
number that was deleted. If a number could be used twice, an acknowledgement that comes late would delete an outcome
that the log has never had.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ingestor.journal.jobs import Value, insert, portions, storable, update_jobs
from ingestor.model.admission import Admission, AdmissionStatus, JournalTime, UnsettledJob
from ingestor.model.record import Job, Origin, Outcome, Result, State
from ingestor.model.sources import KeptRecord
from ingestor.policy.expiry import MARGIN, NEVER
from ingestor.policy.identity import TOKEN_LIFE, Scope, retry_token
from ingestor.policy.retry import INVALIDATED_TOKEN

_WITHOUT_RUN = frozenset({Outcome.FAILED, Outcome.UNRESOLVED})
_MOST_BYTES = 16 * 1024 * 1024  # of texts in one answer of SQLite; a single text may be larger

_SENDABLE = f"""
    SELECT job.id, source, line, length(text) AS size FROM kept_record CROSS JOIN job ON job.id = kept_record.job
    WHERE kept_record.job > :after AND job.batch = :batch AND execution IS NOT :execution
        AND iif(:failed, state = '{State.FAILED}', state IN ('{State.PENDING}', '{State.UNRESOLVED}') AND (
            run_id IS NOT NULL OR (first_sent_at >= :trusted_since AND :time - first_sent_at < :life)
        ))
    ORDER BY kept_record.job LIMIT :limit
"""  # noqa: S608 - constants; the last condition is `policy.expiry.protects`

_JOB = "source, line, key, digest, token, experiment_id"  # the arguments of `_job`
_ANSWER = ("run_id", "http_status", "error_code", "error_message", "opc_request_id")  # columns, and fields of a Result
_ATTEMPT = ("attempts", "latency_ms", "opc_client_request_id")  # as above, of the outbox


def keep_texts(connection: sqlite3.Connection, ended: Sequence[tuple[int, Result]]) -> bool:
    """Keep the texts of jobs that ended without a complete run, each with its row; return whether there was one.

    A text that is kept already stays.
    """
    rows = [(number, it.job.raw) for number, it in ended if it.outcome in _WITHOUT_RUN and it.job.raw]
    insert(connection, "INSERT OR IGNORE INTO kept_record", rows)
    return bool(rows)


def drop_texts(connection: sqlite3.Connection, ended: Sequence[tuple[int, Result]]) -> None:
    """Delete the texts of jobs whose runs exist now."""
    for places, numbers in portions([(number,) for number, it in ended if it.outcome not in _WITHOUT_RUN]):
        connection.execute(f"DELETE FROM kept_record WHERE job IN (VALUES {places})", numbers)  # noqa: S608 - placeholders


def keeps_texts(connection: sqlite3.Connection) -> bool:
    """Return whether any text is kept."""
    return connection.execute("SELECT 1 FROM kept_record LIMIT 1").fetchone() is not None


def find_kept(
    connection: sqlite3.Connection,
    batch: int,
    outcome: Outcome,
    now: JournalTime,
    execution: int | None,
    *,
    after: int,
    limit: int,
) -> list[KeptRecord]:
    """Return the first `limit` kept records after the row `after` that may be sent again, in the order of their rows.

    UNRESOLVED means every job that may have a run: an execution that sent one again may have been killed. Records that
    `execution` has tried are left out.
    """
    (answer,) = connection.execute(
        f"SELECT json_group_array(json_array(id, source, line, size)) FROM ({_SENDABLE})",  # noqa: S608 - a constant
        {
            "batch": batch,
            "failed": outcome is Outcome.FAILED,
            "execution": execution,
            "trusted_since": now.trusted_since,
            "time": now.time,
            "life": TOKEN_LIFE - MARGIN,
            "after": after,
            "limit": limit,
        },
    ).fetchone()
    found: list[KeptRecord] = []
    for portion in _in_portions(json.loads(answer)):
        found += _with_texts(connection, portion)
    return found


def _in_portions(rows: Sequence[tuple[int, str, int, int]]) -> Iterator[list[tuple[int, str, int, int]]]:
    """Split rows (number, source, line, size) so that the texts of each portion fit in one answer of SQLite."""
    portion: list[tuple[int, str, int, int]] = []
    total = 0
    for row in rows:
        if portion and total + row[3] > _MOST_BYTES:
            yield portion
            portion, total = [], 0
        portion.append(row)
        total += row[3]
    if portion:
        yield portion


def _with_texts(connection: sqlite3.Connection, rows: Sequence[tuple[int, str, int, int]]) -> list[KeptRecord]:
    texts: dict[str, str] = {}
    for places, numbers in portions([(row[0],) for row in rows]):
        (answer,) = connection.execute(
            f"SELECT json_group_object(job, hex(text)) FROM kept_record WHERE job IN (VALUES {places})",  # noqa: S608
            numbers,
        ).fetchone()
        texts |= json.loads(answer)
    return [KeptRecord(it, Origin(source, line), bytes.fromhex(texts[str(it)])) for it, source, line, _ in rows]


def count_unsettled(connection: sqlite3.Connection, batch: int) -> int:
    """Return how many jobs of a batch are pending or unresolved, without a run id."""
    found = connection.execute(
        "SELECT count(*) FROM job WHERE batch = ? AND state <> 'created' AND state IN (?, ?) AND run_id IS NULL",
        (batch, State.PENDING, State.UNRESOLVED),
    )
    return int(found.fetchone()[0])


def find_unsettled(
    connection: sqlite3.Connection, batch: int, state: State, *, after: int, limit: int
) -> list[UnsettledJob]:
    """Return the first `limit` jobs after the row `after` in one of these two states, without a run id."""
    rows = connection.execute(
        f"""
        SELECT id, stamped, has_steps, first_sent_at, error_code, {_JOB}
        FROM job WHERE batch = ? AND state <> 'created' AND state = ? AND run_id IS NULL AND id > ? ORDER BY id LIMIT ?
        """,  # noqa: S608 - a constant
        (batch, state, after, limit),
    )
    return [_unsettled(row) for row in rows.fetchall()]


def _unsettled(row: Sequence[Any]) -> UnsettledJob:
    number, stamped, has_steps, first_sent_at, error_code, *job = row
    status, invalidated = AdmissionStatus.RESEND, error_code == INVALIDATED_TOKEN
    admission = Admission(_job(*job), status, bool(stamped), first_sent_at, may_exist=True, invalidated=invalidated)
    return UnsettledJob(number, admission, bool(has_steps))


def renew_tokens(connection: sqlite3.Connection, scope: Scope, numbers: Iterable[int]) -> None:
    """Give the jobs of these rows, which failed, a token of the next generation, whose life has not begun."""
    for places, values in portions([(number,) for number in numbers]):
        known = connection.execute(
            f"SELECT id, generation + 1, key FROM job WHERE id IN (VALUES {places})",  # noqa: S608 - only placeholders
            values,
        ).fetchall()
        rows: list[tuple[Value, ...]] = [
            (number, generation, retry_token(scope, key, generation)) for number, generation, key in known
        ]
        changes = "generation = new.generation, token = new.token, first_sent_at = ?"
        update_jobs(connection, "generation, token", rows, changes, NEVER)


def last_number(connection: sqlite3.Connection, batch: int) -> int:
    """Return the number of the last outcome that was ever written to the outbox; 0 if there was none."""
    found = connection.execute(
        """
        SELECT max(acknowledged, coalesce((SELECT max(number) FROM outbox WHERE batch = ?1), 0))
        FROM batch WHERE id = ?1
        """,
        (batch,),
    )
    return int(found.fetchone()[0])


def note_outcomes(
    connection: sqlite3.Connection, batch: int, ended: Iterable[tuple[int, Result]], *, after: int
) -> None:
    """Write outcomes to the outbox, each with its job's row, numbered above `after`. The job rows have them already."""
    rows: list[tuple[Value, ...]] = [
        (batch, number, job, it.attempts, it.latency_ms, storable(it.opc_client_request_id))
        for number, (job, it) in enumerate(ended, after + 1)
    ]
    insert(connection, f"INSERT INTO outbox (batch, number, job, {', '.join(_ATTEMPT)})", rows)


def find_unacknowledged(connection: sqlite3.Connection, batch: int) -> list[tuple[int, Result]]:
    """Return the outcomes in the outbox, with their numbers, in order.

    Outcomes of jobs that are sent again are left out. That of a forgotten job is its former one. The jobs have no body
    and no text: none is kept.
    """
    rows = connection.execute(
        f"""
        SELECT number, coalesce(former_state, state) AS outcome, {_JOB}, {", ".join(_ANSWER)},
            {", ".join(f"outbox.{name}" for name in _ATTEMPT)}
        FROM outbox JOIN job ON job.id = outbox.job WHERE outbox.batch = ? AND outcome <> ?
        ORDER BY number
        """,  # noqa: S608 - constants
        (batch, State.PENDING),
    )
    names = (*_ANSWER, *_ATTEMPT)
    return [
        (number, Result(job=_job(*rest[:6]), outcome=Outcome(state), **dict(zip(names, rest[6:], strict=True))))
        for number, state, *rest in rows.fetchall()
    ]


def delete_acknowledged(connection: sqlite3.Connection, batch: int, *, up_to: int) -> None:
    """Delete the outcomes that the log has: all up to this number."""
    connection.execute("DELETE FROM outbox WHERE batch = ? AND number <= ?", (batch, up_to))
    connection.execute("UPDATE batch SET acknowledged = max(acknowledged, ?) WHERE id = ?", (up_to, batch))


def _job(source: str, line: int, key: str, digest: bytes, token: str, experiment_id: str | None) -> Job:
    return Job(Origin(source, line), key, b"", digest, token, experiment_id, b"")
