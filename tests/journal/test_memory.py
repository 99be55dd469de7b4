"""The journal remembers how fast a batch was, its pauses, its rejects, and what its executions were."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

from ingestor.journal.memory import find_account
from ingestor.journal.reader import in_batch
from ingestor.model.account import Account
from ingestor.model.history import (
    MOST_PAUSES,
    STEPS,
    Description,
    Memory,
    Pause,
    Point,
    Progress,
    RejectedRecord,
    RejectKind,
    Rejects,
)
from tests.journal.big import query
from tests.journal.support import HOUR, ManualClock, opened
from tests.support.records import SCOPE

START = 1_700_000_000
REJECTS = Rejects(
    total=7,
    kinds=[
        RejectKind(
            reason="not JSON",
            count=7,
            first_at=1.5,
            last_at=2.5,
            varies=True,
            examples=[RejectedRecord(source="a.jsonl", line=3), RejectedRecord(source="b", line=1, job_id="x")],
        )
    ],
    sources={"a.jsonl": 6},
    other_sources=1,
)
PROGRESS = Progress(
    at=START + 5.0,
    records=10,
    counts={"created": 3},
    already_done=1,
    left=6,
    attempts=4,
    throttled=1,
    retries=0,
    latency_p50=1.5,
    latency_p95=None,
)
DESCRIPTION = Description(command="run", sources=["a.jsonl"], settings={"rate": "5"}, versions={"Python": "3"})


def point(start: int, step: int = 1, accepted: int = 0) -> Point:
    return Point(step=step, start=start, seconds=1.0, accepted=accepted)


def account(state: Path) -> Account:
    found = in_batch(state, SCOPE, partial(find_account, executions=5))
    assert found is not None
    return found


def change(state: Path, statement: str) -> None:
    with closing(sqlite3.connect(state / "journal.db", isolation_level=None)) as connection:
        connection.execute(statement)


async def test_what_was_remembered_is_there_for_the_next_execution_and_for_readers(tmp_path: Path) -> None:
    full = replace(point(START, accepted=3), allowed=1.5, latency_p50=1.0, latency_p95=2.0, backlog=4, paused=0.5)
    points = [replace(full, refused=5, errors=6), point(START + 1)]
    pauses = [Pause(START + 0.5, START + 0.75, "the service is down")]
    async with opened(tmp_path) as journal:
        await journal.start_execution()
        await journal.describe(DESCRIPTION)
        await journal.remember(Memory(points=points, pauses=pauses, rejects=REJECTS, progress=PROGRESS))
    async with opened(tmp_path) as journal:
        assert await journal.memory() == Memory(points=points, pauses=pauses, rejects=REJECTS)
    found = account(tmp_path)
    assert found.memory == Memory(points=points, pauses=pauses, rejects=REJECTS)
    (execution,) = found.executions
    assert (execution.description, execution.progress, execution.ended_at) == (DESCRIPTION, PROGRESS, None)


async def test_a_point_and_a_pause_with_a_known_beginning_replace_the_older_ones(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.remember(Memory(points=[point(START, accepted=1)], pauses=[Pause(START, START + 1, "down")]))
        changed = Memory(points=[point(START, accepted=2)], pauses=[Pause(START, START + 9, "down")])
        await journal.remember(changed)
        assert await journal.memory() == Memory(points=[point(START, accepted=2)], pauses=changed.pauses)


async def test_old_points_and_pauses_are_dropped_so_that_the_journal_stays_bounded(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        for step, most in STEPS.items():
            starts = range(START, START + step * (most + 50), step)
            await journal.remember(Memory(points=[point(start, step) for start in starts]))
        await journal.remember(Memory(pauses=[Pause(START + it, START + it, "") for it in range(MOST_PAUSES + 50)]))
        memory = await journal.memory()
    for step, most in STEPS.items():
        kept = [it.start for it in memory.points if it.step == step]
        assert (len(kept), kept[-1]) == (most, START + step * (most + 49))
    assert [it.began_at for it in memory.pauses] == list(range(START + 50, START + 50 + MOST_PAUSES))


async def test_text_that_utf_8_cannot_hold_does_not_stop_a_batch(tmp_path: Path) -> None:
    hostile = Description(command="run", sources=["\udcff.jsonl"], settings={"\ud800": "\udfff"})
    async with opened(tmp_path) as journal:
        await journal.start_execution()
        await journal.describe(hostile)
        await journal.remember(Memory(pauses=[Pause(START, START, "\udcff")]))
    found = account(tmp_path)
    assert found.executions[0].description == Description(command="run", sources=["?.jsonl"], settings={"?": "?"})
    assert found.memory.pauses == [Pause(START, START, "\\udcff")]


async def test_what_another_version_of_the_program_wrote_differently_is_left_out(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as journal:
        await journal.start_execution()
        await journal.describe(DESCRIPTION)
        await journal.remember(Memory(rejects=REJECTS))
        clock.time += HOUR
    for statement in ("UPDATE execution SET description = '{\"command\": 5}'", "UPDATE rejects SET summary = '[]'"):
        change(tmp_path, statement)
    found = account(tmp_path)
    assert (found.executions[0].description, found.memory.rejects) == (None, None)
    assert found.executions[0].started_at == START


async def test_each_batch_remembers_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.remember(Memory(points=[point(START)], rejects=REJECTS))
    change(tmp_path, "INSERT INTO batch (platform, workspace, name) VALUES ('p', 'w', 'other')")
    change(tmp_path, "UPDATE history SET batch = 2")
    assert query(tmp_path, "SELECT count(*) FROM history") == [(1,)]
    assert account(tmp_path).memory == Memory(points=[], pauses=[], rejects=REJECTS)
