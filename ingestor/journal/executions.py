"""Executions: their starts and ends, the checkpoints of the sources that they read, and the journal time.

A source that other processes can find again is identified by its path, not by its name; any other one by its name. The
first execution that reads it writes its row. The row of a file is deleted once the file was read to its end, every
record of it has a durable outcome, and an execution that reached its own end has counted it in its exit code. A row
without a path (standard input) stays, since its position belongs to the spool.

The row of a followed file has its path, a NUL, which no path has, and its number. It is deleted once the file
is gone and done; if records of it were rejected, as that of another file.

The time is recorded in advance because a killed process writes nothing more (see `policy.expiry`).
"""

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from ingestor.journal.jobs import storable
from ingestor.model.admission import JournalTime
from ingestor.model.errors import ExitCode
from ingestor.model.sources import Checkpoint, Source, SourceEnd

_REACHED_ITS_END = (ExitCode.OK, ExitCode.INCOMPLETE)


@dataclass(frozen=True, slots=True)
class ExecutionEnd:
    """How an execution ended, and when (by the wall clock).

    `counts` is records per outcome, `left` the records that were read and have no outcome.
    """

    now: float
    counts: Mapping[str, int]
    already_done: int
    left: int
    exit_code: int


def add_execution(connection: sqlite3.Connection, batch: int) -> int:
    """Insert the row of the execution that opens the journal; return its id."""
    return cast("int", connection.execute("INSERT INTO execution (batch) VALUES (?)", (batch,)).lastrowid)


def start(
    connection: sqlite3.Connection,
    batch: int,
    execution: int,
    *,
    now: float,
    rehearsal: bool | None,
    checkpoints: Sequence[Checkpoint],
) -> None:
    """Write when an execution starts (by the wall clock) and whether its runs go to this machine (None: not known).

    The rows of the sources that it will read are replaced by those given.
    """
    connection.execute("UPDATE batch SET rehearsal = coalesce(?, rehearsal) WHERE id = ?", (rehearsal, batch))
    connection.execute("UPDATE execution SET started_at = ? WHERE id = ?", (now, execution))
    for checkpoint in checkpoints:
        _delete(connection, batch, checkpoint.source)
    write_checkpoints(connection, batch, execution, checkpoints)


def finish(connection: sqlite3.Connection, batch: int, execution: int, ended: ExecutionEnd) -> None:
    """Write how an execution ended. If it reached its end, delete the rows that are no longer needed."""
    connection.execute(
        "UPDATE execution SET ended_at = ?, exit_code = ?, counts = ?, already_done = ?, remaining = ? WHERE id = ?",
        (ended.now, ended.exit_code, json.dumps(dict(ended.counts)), ended.already_done, ended.left, execution),
    )
    if ended.exit_code in _REACHED_ITS_END:
        counted = "batch = ? AND execution = ? AND ended = 'complete'"
        connection.execute(f"DELETE FROM source WHERE {counted} AND path <> x''", (batch, execution))  # noqa: S608 - a constant
        followed = "batch = ? AND instr(path, x'00') > 0"
        connection.execute(f"DELETE FROM source WHERE {followed} AND ended = 'complete'", (batch,))  # noqa: S608 - as above
        connection.execute(f"UPDATE source SET rejected = 0, forgotten = 0 WHERE {followed} AND rejected", (batch,))  # noqa: S608 - as above
        connection.execute(f"UPDATE source SET rejected = 0, forgotten = 0 WHERE {counted}", (batch, execution))  # noqa: S608 - as above


def write_checkpoints(
    connection: sqlite3.Connection, batch: int, execution: int, checkpoints: Sequence[Checkpoint]
) -> None:
    """Write how far sources are done. A followed file that is gone, and had no rejects, is forgotten."""
    for it in [it for it in checkpoints if _is_over(it)]:
        _delete(connection, batch, it.source)
    connection.executemany(
        """
        INSERT INTO source (batch, execution, path, name, position, rejected, ended) VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (batch, path, iif(path = x'', name, '')) DO UPDATE SET execution = excluded.execution,
            name = excluded.name, position = excluded.position, rejected = excluded.rejected, ended = excluded.ended,
            forgotten = 0
        """,
        [
            (batch, execution, *_names(it.source), it.position, it.rejected, it.end)
            for it in checkpoints
            if not _is_over(it)
        ],
    )


def find_checkpoints(connection: sqlite3.Connection, batch: int) -> list[Checkpoint]:
    """Return the checkpoints of all sources of the batch, in the order in which reading them began.

    Names are as they stand in the journal: a byte that is not UTF-8 is its escape.
    """
    rows = connection.execute(
        "SELECT name, path, position, rejected - forgotten, ended FROM source WHERE batch = ? ORDER BY id", (batch,)
    )
    return [
        Checkpoint(_source(name, path), position, rejected, ended and SourceEnd(ended))
        for name, path, position, rejected, ended in rows.fetchall()
    ]


def last_time(connection: sqlite3.Connection) -> JournalTime | None:
    """Return the last time that was recorded; None in a new journal."""
    found = connection.execute("SELECT time, wall, trusted_since FROM clock").fetchone()
    return None if found is None else JournalTime(*found)


def record_time(connection: sqlite3.Connection, now: JournalTime) -> None:
    """Record the time, which is not before the last one."""
    connection.execute(
        "INSERT OR REPLACE INTO clock (id, time, wall, trusted_since) VALUES (1, ?, ?, ?)",
        (now.time, now.wall, now.trusted_since),
    )


def _delete(connection: sqlite3.Connection, batch: int, source: Source) -> None:
    path, name = _names(source)
    if source.path is None:
        connection.execute("DELETE FROM source WHERE batch = ? AND path = x'' AND name = ?", (batch, name))
    else:  # a row that an ingestor before version 7 began has the name as its path
        connection.execute(
            "DELETE FROM source WHERE batch = ? AND path IN (?, ?)", (batch, path, os.fsencode(source.name))
        )


def _names(source: Source) -> tuple[bytes, str | None]:
    path = os.fsencode(source.path or "")
    return path + b"%c%d" % (0, source.number) if source.number else path, storable(source.name)


def _source(name: str, path: bytes) -> Source:
    path, _, number = path.partition(b"\0")
    return Source(name, os.fsdecode(path) or None, int(number or 0))


def _is_over(checkpoint: Checkpoint) -> bool:
    return checkpoint.source.number > 0 and checkpoint.end is SourceEnd.COMPLETE and not checkpoint.rejected
