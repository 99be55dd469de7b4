"""What the journal remembers of batches for pages and reports: points of speed, pauses, rejects, executions.

It decides nothing: a batch is the same without it. All of it is bounded (see `model.history`).
"""

import json
import sqlite3
from typing import Any, TypeVar

import msgspec

from ingestor.journal.forgotten import count_rejects
from ingestor.journal.jobs import insert, storable
from ingestor.model.account import Account, ExecutionRow, Pruned
from ingestor.model.history import MOST_PAUSES, STEPS, Description, Memory, Pause, Point, Progress, Rejects
from ingestor.model.record import State

T = TypeVar("T")

_POINT = "step, start, seconds, accepted, refused, errors, allowed, latency_p50, latency_p95, backlog, paused"
_EXECUTION = "id, started_at, ended_at, exit_code, counts, already_done, remaining, description, progress"


def describe(connection: sqlite3.Connection, execution: int, description: Description) -> None:
    """Write what an execution is."""
    connection.execute("UPDATE execution SET description = ? WHERE id = ?", (_encode(description), execution))


def remember(connection: sqlite3.Connection, batch: int, execution: int, changes: Memory) -> None:
    """Write changes, and delete what is too old to be kept."""
    if changes.points:
        columns = ("batch", *_POINT.split(", "))
        rows = [tuple(batch if name == "batch" else getattr(it, name) for name in columns) for it in changes.points]
        insert(connection, f"INSERT OR REPLACE INTO history ({', '.join(columns)})", rows)
        for step, most in STEPS.items():
            last = max((it.start for it in changes.points if it.step == step), default=0)
            oldest = (batch, step, last - step * most)
            connection.execute("DELETE FROM history WHERE batch = ? AND step = ? AND start <= ?", oldest)
    if changes.pauses:
        pauses = [(batch, it.began_at, it.ended_at, storable(it.reason)) for it in changes.pauses]
        insert(connection, "INSERT OR REPLACE INTO pause (batch, began_at, ended_at, reason)", pauses)
        connection.execute(
            "DELETE FROM pause WHERE batch = ?1 AND began_at < (SELECT began_at FROM pause WHERE batch = ?1 "
            "ORDER BY began_at DESC LIMIT 1 OFFSET ?2)",
            (batch, MOST_PAUSES - 1),
        )
    if changes.rejects is not None:
        connection.execute("INSERT OR REPLACE INTO rejects VALUES (?, ?)", (batch, _encode(changes.rejects)))
    if changes.progress is not None:
        connection.execute("UPDATE execution SET progress = ? WHERE id = ?", (_encode(changes.progress), execution))


def find_memory(connection: sqlite3.Connection, batch: int) -> Memory:
    """Return what is remembered of a batch, the progress of its executions left out. Points and pauses are in order."""
    points = connection.execute(f"SELECT {_POINT} FROM history WHERE batch = ? ORDER BY step, start", (batch,))  # noqa: S608 - a constant
    names = _POINT.split(", ")
    pauses = connection.execute("SELECT began_at, ended_at, reason FROM pause WHERE batch = ? ORDER BY 1", (batch,))
    rejects = connection.execute("SELECT summary FROM rejects WHERE batch = ?", (batch,)).fetchone()
    return Memory(
        points=[Point(**dict(zip(names, row, strict=True))) for row in points.fetchall()],
        pauses=[Pause(*row) for row in pauses.fetchall()],
        rejects=None if rejects is None else _decode(rejects[0], Rejects),
    )


def find_executions(connection: sqlite3.Connection, batch: int, limit: int) -> list[ExecutionRow]:
    """Return the last executions of a batch that were a `run` or a `resume`, the latest first."""
    rows = connection.execute(
        f"SELECT {_EXECUTION} FROM execution WHERE batch = ? AND started_at IS NOT NULL ORDER BY id DESC LIMIT ?",  # noqa: S608 - a constant
        (batch, limit),
    )
    return [_execution(*row) for row in rows.fetchall()]


def find_pruned(connection: sqlite3.Connection, batch: int) -> Pruned:
    """Return which rows of a batch were deleted."""
    rows = connection.execute("SELECT state, count, up_to FROM pruned WHERE batch = ?", (batch,)).fetchall()
    return Pruned({State(state): count for state, count, _ in rows}, max((up_to for *_, up_to in rows), default=None))


def find_account(connection: sqlite3.Connection, batch: int, *, executions: int) -> Account:
    """Return what is remembered of a batch, with the last `executions`."""
    return Account(
        find_memory(connection, batch),
        find_executions(connection, batch, executions),
        find_pruned(connection, batch),
        count_rejects(connection, batch),
    )


def _execution(*row: Any) -> ExecutionRow:
    number, started_at, ended_at, exit_code, counts, already_done, left, description, progress = row
    return ExecutionRow(
        number=number,
        started_at=started_at,
        ended_at=ended_at,
        exit_code=exit_code,
        counts=None if counts is None else json.loads(counts),
        already_done=already_done,
        left=left,
        description=None if description is None else _decode(description, Description),
        progress=None if progress is None else _decode(progress, Progress),
    )


def _encode(value: object) -> str:
    """Return a value as JSON. A lone surrogate, which UTF-8 can't hold, becomes a question mark."""
    try:
        return msgspec.json.encode(value).decode()
    except ValueError:
        return json.dumps(msgspec.to_builtins(value), ensure_ascii=False).encode("utf-8", "replace").decode()


def _decode(text: str, kind: type[T]) -> T | None:
    """Return a value of JSON; None if another version of the program wrote it, and it can't be read."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError:
        return None
