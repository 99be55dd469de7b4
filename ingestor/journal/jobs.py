"""The table of jobs: its statements, and the index that finds the row of a key.

**Statements.** Every statement takes many rows and returns at most one. sqlite3 releases the GIL at each step of a
statement. If the event loop is busy, each step then waits up to the interpreter's switch interval: a statement for each
row, or a returned row for each job, is a hundred times slower.

**The index.** It costs the same for the first row and for the ten millionth. Keys come in random order. In a large
index each new key is on another page, which must be read, logged and written back. Therefore new entries are collected
in memory first, and thousands of them are merged into the table `key_index` at once, in its order. `key_index_mark` has
the last row that was merged; the rows after it are read again when the journal is opened. An entry is the hash of a key
and the number of a row; the row itself says whether it has that key.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from hashlib import blake2b

import msgspec

from ingestor.journal.admission import Row
from ingestor.model import text
from ingestor.model.record import Job, Result, State

Value = str | bytes | float | None
"""What SQLite can store."""

MERGE_AFTER = 32_768
"""Entries that are collected in memory, in less than 1 MiB."""

_PORTION = 128  # rows in a statement: SQLite keeps each statement that was ever used, with space for all its values

_RECENT = "CREATE TEMP TABLE recent (hash INTEGER, job INTEGER, PRIMARY KEY (hash, job)) WITHOUT ROWID"
_NOT_MERGED = "SELECT id, batch, key FROM job WHERE id > ? ORDER BY id LIMIT 1000"
_MERGE = "INSERT OR IGNORE INTO key_index SELECT hash, job FROM temp.recent ORDER BY hash, job"  # needs no undo log

_FIND = """
    SELECT wanted.*, key_index.job FROM wanted CROSS JOIN key_index ON key_index.hash = wanted.hash
    UNION ALL
    SELECT wanted.*, recent.job FROM wanted CROSS JOIN temp.recent AS recent ON recent.hash = wanted.hash
"""  # joins the rows of `wanted`, which have a `hash`, with the numbers of the rows that may have that key

_rows = msgspec.json.Decoder(list[Row], strict=False).decode  # SQLite's JSON has 1 and 0 for true and false


def portions(rows: Sequence[tuple[Value, ...]]) -> Iterator[tuple[str, list[Value]]]:
    """Yield the rows in portions that fit in a statement: the placeholders that follow VALUES, and their values.

    Each portion is filled up to a power of two with rows of NULL. So there are few different statements, and each is
    compiled once. NULL is equal to nothing; `insert` leaves such rows out.
    """
    for start in range(0, len(rows), _PORTION):
        portion = list(rows[start : start + _PORTION])
        size, width = 1 << (len(portion) - 1).bit_length(), len(rows[0])
        portion += [(None,) * width] * (size - len(portion))
        yield ",".join([f"({','.join('?' * width)})"] * size), [value for row in portion for value in row]


def insert(connection: sqlite3.Connection, into: str, rows: Sequence[tuple[Value, ...]]) -> None:
    """Insert rows; `into` is the statement without them. The first value of a row is never NULL."""
    for places, values in portions(rows):
        connection.execute(f"{into} SELECT * FROM (VALUES {places}) WHERE column1 IS NOT NULL", values)  # noqa: S608 - placeholders


def update_jobs(
    connection: sqlite3.Connection, columns: str, rows: Sequence[tuple[Value, ...]], changes: str, *common: Value
) -> None:
    """Change rows of the table `job`, each from a row of these columns, which is called `new` and begins with the id.

    `common` are the values of the placeholders in `changes`.
    """
    for places, values in portions(rows):
        connection.execute(
            f"WITH new (id, {columns}) AS (VALUES {places}) UPDATE job SET {changes} FROM new WHERE job.id = new.id",  # noqa: S608 - only placeholders are put in
            (*values, *common),
        )


def storable(value: str | None) -> str | None:
    """Make text storable (see `model.text`); None stays None."""
    return None if value is None else text.storable(value)


def find_rows(
    connection: sqlite3.Connection, batch: int, jobs: Sequence[Job], hashes: Sequence[int], *, execution: int
) -> dict[str, Row]:
    """Return the row of each job, by its key; a key without a row is left out. `hashes` are those of the keys."""
    wanted = [
        (place, hash_, job.key, job.digest, job.token)
        for place, (job, hash_) in enumerate(zip(jobs, hashes, strict=True))
    ]
    found: dict[str, Row] = {}
    for places, values in portions(wanted):
        (answer,) = connection.execute(
            f"""
            WITH wanted (place, hash, key, digest, token) AS (VALUES {places})
            SELECT json_group_array(json_array(
                place, id, job.digest = wanted.digest, state, nullif(job.token, wanted.token),
                first_sent_at, stamped, run_id, execution IS ?
            ))
            FROM ({_FIND}) AS wanted CROSS JOIN job ON job.id = wanted.job
            WHERE job.batch = ? AND job.key = wanted.key
            """,  # noqa: S608 - only placeholders are put in
            (*values, execution, batch),
        ).fetchone()
        found |= {jobs[row.place].key: row for row in _rows(answer)}
    return found


def add_intents(
    connection: sqlite3.Connection,
    batch: int,
    jobs: Sequence[Job],
    *,
    first: int,
    stamped: bool,
    execution: int,
    now: float,
) -> None:
    """Write the intents of new jobs, as rows numbered from `first`. The life of their tokens begins."""
    common = (batch, State.PENDING, stamped, now, now, execution)
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
            bool(job.steps),
        )
        for number, job in enumerate(jobs, first)
    ]
    columns = "id, batch, state, stamped, first_sent_at, updated_at, execution"
    insert(connection, f"INSERT INTO job ({columns}, key, digest, token, source, line, experiment_id, has_steps)", rows)


def change_states(
    connection: sqlite3.Connection, changes: Sequence[tuple[int, State, float]], *, execution: int, now: float
) -> None:
    """Change the states of rows: each change is (row id, state, first sent at)."""
    assignments = "state = new.state, first_sent_at = new.first_sent_at, execution = ?, updated_at = ?"
    update_jobs(connection, "state, first_sent_at", changes, assignments, execution, now)


def begin_runs(connection: sqlite3.Connection, begun: Sequence[tuple[int, str]], *, now: float) -> None:
    """Write the ids of runs that exist and are not complete: each is (row id, run id). The states stay."""
    rows = [(number, storable(run_id)) for number, run_id in begun]
    update_jobs(connection, "run_id", rows, "run_id = new.run_id, updated_at = ?", now)


def end_jobs(
    connection: sqlite3.Connection, ended: Sequence[tuple[int, Result]], *, execution: int, now: float
) -> None:
    """Write how the jobs of these rows ended. A run id that is known stays known."""
    update_jobs(
        connection,
        "state, run_id, http_status, error_code, error_message, opc_request_id, attempts, experiment_id",
        [(number, *_outcome(result)) for number, result in ended],
        """
        state = new.state, run_id = coalesce(new.run_id, job.run_id), http_status = new.http_status,
        error_code = new.error_code, error_message = new.error_message, opc_request_id = new.opc_request_id,
        attempts = job.attempts + new.attempts, experiment_id = new.experiment_id, execution = ?, updated_at = ?
        """,
        execution,
        now,
    )


def release(connection: sqlite3.Connection, numbers: Sequence[int], *, execution: int, after: int) -> None:
    """Take back intents that this execution wrote: rows after `after` are deleted, failed jobs become failed again.

    A row after `after` that has already ended has failed. An intent of an earlier execution stays: it is not known if
    that execution sent the job.
    """
    for places, values in portions([(number,) for number in numbers]):
        of_these = f"id IN (VALUES {places}) AND state = '{State.PENDING}' AND run_id IS NULL AND execution = ?"
        connection.execute(
            f"DELETE FROM job WHERE {of_these} AND attempts = 0 AND id > ? AND id NOT IN (SELECT job FROM kept_record)",  # noqa: S608 - only placeholders are put in
            (*values, execution, after),
        )
        connection.execute(
            f"UPDATE job SET state = '{State.FAILED}' WHERE {of_these}",  # noqa: S608 - as above
            (*values, execution),
        )


def _outcome(result: Result) -> tuple[Value, ...]:
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


def hash_of(batch: int, key: str) -> int:
    """Return the hash of a key of a batch: 64 bits, signed. It is not feasible to find many keys with one hash."""
    return int.from_bytes(blake2b(b"%d\0%b" % (batch, key.encode()), digest_size=8).digest(), signed=True)


class KeyIndex:
    """The index of one journal, on its writer's connection and inside its transactions."""

    def __init__(self, merge_after: int = MERGE_AFTER) -> None:
        self._merge_after = merge_after
        self._recent = 0
        self._last = 0

    def open(self, connection: sqlite3.Connection) -> int:
        """Read what is not merged yet; return the number after the last row. Call it first."""
        connection.execute(_RECENT)
        (self._last,) = connection.execute("SELECT last FROM key_index_mark").fetchone()
        while rows := connection.execute(_NOT_MERGED, (self._last,)).fetchall():
            self.add(connection, [(hash_of(batch, key), number) for number, batch, key in rows])
        return self._last + 1

    def add(self, connection: sqlite3.Connection, entries: Sequence[tuple[int, int]]) -> None:
        """Add the rows (hash, number) that were just written; numbers grow."""
        insert(connection, "INSERT INTO temp.recent", entries)
        if entries:
            self._recent += len(entries)
            self._last = entries[-1][1]
        if self._recent >= self._merge_after:
            self._merge(connection)

    def _merge(self, connection: sqlite3.Connection) -> None:
        connection.execute(_MERGE)
        connection.execute("DELETE FROM temp.recent")
        connection.execute("UPDATE key_index_mark SET last = ?", (self._last,))
        self._recent = 0
