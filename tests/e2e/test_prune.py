"""`ingestor prune`: a journal that is used for years stays small, and still adds up."""

import signal
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim
from tests.e2e.proof import counted
from tests.journal.big import add_rows, query

OLD = 1_700_000_000.0
ROWS = 60_000


def age(program: Program, *, days: int = 100) -> None:
    """Make everything in the journal older."""
    with closing(sqlite3.connect(program.folder / ".ingestor" / "journal.db", isolation_level=None)) as connection:
        connection.execute("UPDATE job SET updated_at = updated_at - ?, first_sent_at = 0", (days * 86400,))


def big_state(program: Program, rows: int = ROWS) -> Path:
    state = program.folder / ".ingestor"
    state.mkdir(mode=0o700)
    add_rows(state, rows, at=OLD)
    add_rows(state, 7, job_state="failed", at=OLD)
    return state


def known(state: Path) -> tuple[int, int]:
    """Return how many rows of finished jobs there are, and how many were pruned."""
    (rows,) = query(state, "SELECT count(*) FROM job WHERE state = 'created'")[0]
    (pruned,) = query(state, "SELECT coalesce(sum(count), 0) FROM pruned")[0]
    assert isinstance(rows, int)
    assert isinstance(pruned, int)
    return rows, pruned


async def test_pruned_rows_are_gone_and_every_total_still_adds_up(program: Program, simulator: Simulator) -> None:
    given = list(records(20))
    program.write("a.jsonl", given)
    await program.ingest(*aim(simulator), "a.jsonl")
    age(program)
    program.write("b.jsonl", [{"job_id": f"new {it}", "run_name": "r"} for it in range(5)])
    await program.ingest(*aim(simulator), "b.jsonl")

    dry = await program.run("prune", "--older-than", "90d", "--dry-run")
    assert (dry.code, "Would delete 20 rows" in dry.stdout, len(program.rows())) == (0, True, 25)
    done = await program.run("prune", "--older-than", "90d", "--output", "json")
    assert (done.code, done.summary["counts"], done.summary["kept"]) == (0, {"created": 20}, 5)
    assert done.summary["sources_that_exist"] == ["a.jsonl"]
    assert {row["source"] for row in program.rows()} == {"b.jsonl"}

    text = (await program.run("status")).stdout
    assert "rows that were pruned, not counted above: 20 created" in text
    report = (await program.run("report")).stdout
    assert "25 records came in" in report
    assert "\n  20 pruned rows are not in it\n" in report
    assert "SHA-256 of the 5 lines of" in report
    assert "The journal has only the number of 20 records that ended before" in report
    assert report.splitlines()[-1].split() == ["total", "25", "25"]
    again = await program.run("prune", "--older-than", "90d")
    assert "Deleted 0 rows" in again.stdout


async def test_a_record_whose_row_was_pruned_becomes_a_second_run_as_prune_says(
    program: Program, simulator: Simulator
) -> None:
    program.write("a.jsonl", list(records(3)))
    await program.ingest(*aim(simulator), "a.jsonl")
    age(program)
    done = await program.run("prune", "--older-than", "12w")
    assert "A run that reads the records of these rows again creates their runs again." in done.stdout
    assert "move them away, or never read them again: a.jsonl" in done.stdout
    sent = simulator.statistics.requests
    again = await program.ingest(*aim(simulator), "a.jsonl")
    assert again.summary["counts"] == counted(created=3)
    assert simulator.statistics.requests == sent + 3, "they are sent again"


async def test_only_the_batch_that_is_named_is_pruned(program: Program, simulator: Simulator) -> None:
    program.write("a.jsonl", list(records(3)))
    for batch in ("one", "two"):
        await program.ingest(*aim(simulator), "--batch", batch, "a.jsonl")
    age(program)
    assert (await program.run("prune", "--older-than", "1d", "--batch", "one")).code == 0
    assert Counter(row["batch"] for row in program.rows()) == {"two": 3}
    unknown = await program.run("prune", "--older-than", "1d", "--batch", "three")
    assert (unknown.code, "has no such batch" in unknown.stderr) == (2, True)


async def test_the_journal_gives_its_space_back(program: Program) -> None:
    state = big_state(program, 40_000)
    size = (state / "journal.db").stat().st_size
    done = await program.run("prune", "--older-than", "90d")
    assert done.code == 0
    assert (state / "journal.db").stat().st_size < size / 10
    assert [row["outcome"] for row in program.rows()] == ["failed"] * 7
    assert query(state, "PRAGMA integrity_check") == [("ok",)]


async def test_a_prune_that_is_killed_anywhere_has_deleted_whole_transactions_and_another_finishes_it(
    program: Program,
) -> None:
    state = big_state(program)
    deaths = 0
    for wanted in (5_000, 30_000):
        running = await program.start("prune", "--older-than", "90d")
        await running.until(lambda wanted=wanted: known(state)[1] >= wanted)  # type: ignore[misc]
        await running.die()
        rows, pruned = known(state)
        deaths += 0 < pruned < ROWS
        assert rows + pruned == ROWS
        assert pruned % 5000 == 0
        assert query(state, "SELECT count(*) FROM key_index") == [(rows + 7,)]
    assert deaths == 2, "it was killed in the middle"
    assert (await program.run("prune", "--older-than", "90d")).code == 0
    assert known(state) == (0, ROWS)
    assert query(state, "PRAGMA integrity_check") == [("ok",)]


async def test_an_interrupted_prune_keeps_what_it_did_and_can_be_repeated(program: Program) -> None:
    state = big_state(program)
    running = await program.start("prune", "--older-than", "90d")
    await running.until(lambda: known(state)[1] > 0)
    running.send(signal.SIGINT)
    assert (await running.end()).code == 75
    rows, pruned = known(state)
    assert (rows + pruned, pruned > 0) == (ROWS, True)
    assert (await program.run("prune", "--older-than", "90d")).code == 0
    assert known(state) == (0, ROWS)


async def test_a_run_that_uses_the_state_directory_is_not_disturbed(program: Program, simulator: Simulator) -> None:
    program.write("a.jsonl", list(records(300)))
    running = await program.start("run", *aim(simulator), "--rate", "100", "a.jsonl")
    await running.until(lambda: simulator.statistics.run_count >= 5)
    refused = await program.run("prune", "--older-than", "1h")
    assert (refused.code, "is in use by process" in refused.stderr) == (75, True)
    assert (await program.run("prune", "--older-than", "1h", "--dry-run")).code == 0
    await running.die()


async def test_an_age_must_be_given_and_make_sense(program: Program, simulator: Simulator) -> None:
    program.write("a.jsonl", list(records(1)))
    await program.ingest(*aim(simulator), "a.jsonl")
    assert "--older-than: give the age" in (await program.run("prune")).stderr
    for wrong in ("90", "0d", "1y", "1.5d", "9999999d"):
        ended = await program.run("prune", "--older-than", wrong)
        assert (ended.code, "must be a whole number of hours, days or weeks" in ended.stderr) == (2, True)
    assert len(program.rows()) == 1


async def test_a_prune_needs_a_journal_and_begins_none(program: Program) -> None:
    ended = await program.run("prune", "--older-than", "90d")
    assert (ended.code, "There is no journal in .ingestor yet" in ended.stderr) == (2, True)
    assert not (program.folder / ".ingestor").exists()
