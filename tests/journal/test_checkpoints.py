import json
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal import schema
from ingestor.journal.inputs import KnownInput
from ingestor.journal.leftovers import known_inputs, sources_in_doubt, unfinished_sources
from ingestor.model.errors import ExitCode
from ingestor.model.outcome import Outcome
from ingestor.model.source import Source
from tests.journal.support import created, opened, unresolved
from tests.support.records import SCOPE, job

A, B = Source("a", "/d/a"), Source("b", "/d/b")
PIPE = Source("-", None)


async def passed(folder: Path, *sources: Source, exit_code: ExitCode | None) -> None:
    """Let a pass over the sources come to an end, or be killed."""
    async with opened(folder) as journal:
        await journal.start_execution(sources=sources)
        if exit_code is not None:
            await journal.finish_execution({}, left=0, exit_code=exit_code)


def unread(folder: Path) -> list[Source]:
    return [it.source for it in known_inputs(folder, SCOPE) if it.is_unread]


@pytest.mark.parametrize("exit_code", [None, *ExitCode])
async def test_what_a_pass_was_to_read_is_unread_unless_it_came_to_its_end(
    tmp_path: Path, exit_code: ExitCode | None
) -> None:
    assert known_inputs(tmp_path, SCOPE) == []
    await passed(tmp_path, B, A, PIPE, exit_code=exit_code)
    is_unread = exit_code not in {ExitCode.OK, ExitCode.INCOMPLETE}
    assert known_inputs(tmp_path, SCOPE) == [KnownInput(it, is_unread) for it in (B, A, PIPE)], "in their order"
    assert known_inputs(tmp_path, replace(SCOPE, batch="another")) == []


async def test_what_a_pass_left_stays_unread_when_another_reads_something_else_to_its_end(tmp_path: Path) -> None:
    await passed(tmp_path, A, PIPE, exit_code=ExitCode.STOPPED)
    await passed(tmp_path, B, exit_code=ExitCode.OK)
    assert known_inputs(tmp_path, SCOPE) == [KnownInput(A, True), KnownInput(PIPE, True), KnownInput(B, False)]
    await passed(tmp_path, PIPE, exit_code=ExitCode.OK)
    assert unread(tmp_path) == [A]
    await passed(tmp_path, A, exit_code=None)
    assert unread(tmp_path) == [A]
    await passed(tmp_path, A, exit_code=ExitCode.INCOMPLETE)
    assert unread(tmp_path) == []


async def test_a_file_is_read_under_whatever_name(tmp_path: Path) -> None:
    await passed(tmp_path, A, exit_code=ExitCode.STOPPED)
    await passed(tmp_path, Source("./a", "/d/a"), exit_code=ExitCode.OK)
    assert unread(tmp_path) == []


async def test_files_of_one_name_in_two_folders_are_two(tmp_path: Path) -> None:
    elsewhere = Source("a", "/e/a")
    await passed(tmp_path, A, exit_code=ExitCode.STOPPED)
    await passed(tmp_path, elsewhere, exit_code=ExitCode.STOPPED)
    assert unread(tmp_path) == [A, elsewhere]


async def test_names_are_as_they_stand_in_the_journal_and_paths_as_they_are(tmp_path: Path) -> None:
    await passed(tmp_path, Source("\udcff", "/d/\udcff"), exit_code=None)
    assert unread(tmp_path) == [Source("\\udcff", "/d/\udcff")]


@pytest.mark.parametrize(("exit_code", "left"), [(None, ["a", "/d/b"]), (ExitCode.STOPPED, ["a", "/d/b"]), (0, [])])
async def test_what_a_pass_of_version_6_left_is_unread_under_its_name_until_it_is_read(
    tmp_path: Path, exit_code: int | None, left: list[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.db", isolation_level=None)) as journal:
        schema.migrate(journal, to=6)
        journal.execute("INSERT INTO batch VALUES (1, ?, ?, ?, NULL)", (SCOPE.platform, SCOPE.workspace, SCOPE.batch))
        for code, files in ((ExitCode.STOPPED, ["forgotten then"]), (exit_code, ["a", "/d/b"])):
            row = (code, json.dumps(files))
            journal.execute("INSERT INTO pass (batch, started_at, exit_code, files) VALUES (1, 1.7e9, ?, ?)", row)
    wanted = [Source(name, name) for name in left]
    assert unread(tmp_path) == wanted, "before anything is brought up to date"
    await passed(tmp_path, Source("c", "/d/c"), exit_code=ExitCode.OK)
    assert unread(tmp_path) == wanted
    await passed(tmp_path, A, Source("/d/b", "/real/b"), exit_code=ExitCode.OK)
    assert unread(tmp_path) == []


async def test_what_was_read_to_its_end_is_kept_until_the_next_pass_only(tmp_path: Path) -> None:
    for _ in range(3):
        await passed(tmp_path, A, B, exit_code=ExitCode.OK)
    await passed(tmp_path, A, exit_code=ExitCode.OK)
    with closing(sqlite3.connect(tmp_path / "journal.db")) as journal:
        assert journal.execute("SELECT count(*) FROM input").fetchone() == (1,)


async def test_what_has_a_job_that_is_to_be_read_again_is_known_until_it_is_settled(tmp_path: Path) -> None:
    runs, doubtful = Source("runs.jsonl", "/d/runs.jsonl"), job()
    async with opened(tmp_path) as journal:
        await journal.start_execution(sources=[runs])
        await journal.admit([doubtful], stamped=True)
        await journal.settle([unresolved(doubtful)])
        await journal.finish_execution({}, left=0, exit_code=ExitCode.INCOMPLETE)
    for _ in range(2):
        await passed(tmp_path, B, exit_code=ExitCode.OK)
        assert known_inputs(tmp_path, SCOPE) == [KnownInput(runs, False), KnownInput(B, False)]
        assert unfinished_sources(tmp_path, SCOPE) == sources_in_doubt(tmp_path, SCOPE) == ["runs.jsonl"]
    not_created = replace(unresolved(doubtful), outcome=Outcome.FAILED, error_code="NotCreated")
    async with opened(tmp_path) as journal:
        await journal.conclude([not_created])
    await passed(tmp_path, B, exit_code=ExitCode.OK)
    assert (unfinished_sources(tmp_path, SCOPE), sources_in_doubt(tmp_path, SCOPE)) == (["runs.jsonl"], [])
    assert known_inputs(tmp_path, SCOPE) == [KnownInput(runs, False), KnownInput(B, False)]
    async with opened(tmp_path) as journal:
        await journal.admit([doubtful], stamped=True)
        await journal.settle([created(doubtful)])
    await passed(tmp_path, B, exit_code=ExitCode.OK)
    assert known_inputs(tmp_path, SCOPE) == [KnownInput(B, False)]
