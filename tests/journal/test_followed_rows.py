"""Rows of followed files: one for each file that was under a path, and none for a file that is gone and done."""

from pathlib import Path

import pytest

from ingestor.journal.reader import known_sources
from ingestor.model.errors import ExitCode
from ingestor.model.ports import Changes
from ingestor.model.record import State
from ingestor.model.sources import Checkpoint, Source, SourceEnd
from tests.journal.support import created, failed, opened
from tests.support.records import SCOPE, job, jobs

FIRST, SECOND = Source("app.log", "/logs/app.log", 1), Source("app.log", "/logs/app.log", 2)
OTHER = Source("app.log", "/logs/app.log")
"""The same path, read by an execution that follows nothing."""


async def test_several_files_of_one_path_have_a_row_each(tmp_path: Path) -> None:
    rows = [Checkpoint(FIRST, "[1]"), Checkpoint(SECOND, "[2]", 3), Checkpoint(OTHER, "[3]")]
    async with opened(tmp_path) as journal:
        await journal.commit(Changes(checkpoints=rows))
        await journal.commit(Changes(checkpoints=[Checkpoint(FIRST, "[4]")]))
        assert await journal.checkpoints() == [Checkpoint(FIRST, "[4]"), *rows[1:]]
        await journal.start_execution(checkpoints=[Checkpoint(SECOND)])
    assert set(known_sources(tmp_path, SCOPE)) == {Checkpoint(FIRST, "[4]"), Checkpoint(SECOND), rows[2]}


async def test_the_row_of_a_file_that_is_gone_is_deleted_at_once_unless_records_were_rejected(tmp_path: Path) -> None:
    gone = SourceEnd.COMPLETE
    async with opened(tmp_path) as journal:
        await journal.commit(Changes(checkpoints=[Checkpoint(FIRST, "[1]"), Checkpoint(SECOND, "[2]", 1)]))
        await journal.commit(
            Changes(checkpoints=[Checkpoint(FIRST, "[1]", 0, gone), Checkpoint(SECOND, "[2]", 1, gone)])
        )
        assert await journal.checkpoints() == [Checkpoint(SECOND, "[2]", 1, gone)]
        await journal.commit(Changes(checkpoints=[Checkpoint(FIRST, None, 0, gone)]))
        assert await journal.checkpoints() == [Checkpoint(SECOND, "[2]", 1, gone)]


@pytest.mark.parametrize(("code", "left"), [(ExitCode.OK, 0), (ExitCode.INCOMPLETE, 0), (ExitCode.STOPPED, 2)])
async def test_an_end_that_reports_the_rejects_of_followed_files_keeps_their_positions(
    tmp_path: Path, code: ExitCode, left: int
) -> None:
    async with opened(tmp_path) as journal:
        await journal.commit(Changes(checkpoints=[Checkpoint(FIRST, "[1]", 2)]))
    async with opened(tmp_path) as journal:  # the row of an execution that was killed counts, too
        await journal.finish_execution({}, already_done=0, left=0, exit_code=code)
    assert known_sources(tmp_path, SCOPE) == [Checkpoint(FIRST, "[1]", left)]


async def test_the_states_of_jobs_are_those_of_their_exact_contents_and_a_conflict_is_a_failure(tmp_path: Path) -> None:
    one, two, three = jobs(3)
    async with opened(tmp_path) as journal:
        await journal.admit([one, two, three], stamped=True)
        await journal.commit(Changes([created(one), failed(two)]))
        changed = job(1, name="another content")
        found = [*await journal.states([one, two, three, job(7)]), *await journal.states([changed])]
    assert found == [State.CREATED, State.FAILED, State.PENDING, None, State.FAILED]
