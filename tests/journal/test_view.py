"""A journal can be read by users who may not write, in snapshots, and while a run writes it; no row is missing."""

import os
import resource
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from ingestor.app import inspect
from ingestor.journal.batches import find_batches, find_or_create
from ingestor.journal.database import NAME, open_owned
from ingestor.journal.reader import results, status
from ingestor.journal.view import ChangedError, JournalView, copied
from ingestor.model.errors import JournalError
from ingestor.model.ports import Changes
from ingestor.model.record import State
from tests.journal.support import child, created, opened
from tests.support.another_user import as_another_user, show
from tests.support.records import SCOPE, job, jobs


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can reach, with a state directory in it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        (Path(folder) / "state").mkdir()
        yield Path(folder)
        for directory in Path(folder).iterdir():
            directory.chmod(0o755)


@pytest.fixture
def temporary(place: Path) -> Iterator[Path]:
    """The directory for temporary files."""
    folder = place / "temporary"
    folder.mkdir()
    folder.chmod(0o777)
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    yield folder
    tempfile.tempdir = before


async def write(state: Path, count: int) -> None:
    async with opened(state) as journal:
        await journal.admit(jobs(count), stamped=True)
        await journal.commit(Changes([created(it) for it in jobs(count)]))


async def snapshot(place: Path, name: str, *parts: str) -> Path:
    """Copy parts of a state directory while its owner writes: all 20 jobs are in the write-ahead log only."""
    copy = place / name
    copy.mkdir()
    async with opened(place / "state") as journal:
        await journal.admit(jobs(20), stamped=True)
        for part in parts:
            shutil.copyfile(place / "state" / part, copy / part)
    return copy


def keys(state: Path) -> list[str]:
    (batch,) = status(state, now=0).batches
    found = [row.job_id for row in results(state)]
    assert sum(batch.counts.values()) == len(found)
    return found


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


ALL = [it.key for it in jobs(20)]
WAL, SHM = f"{NAME}-wal", f"{NAME}-shm"


async def test_a_finished_journal_is_read_without_the_right_to_write_and_without_a_copy(
    place: Path, temporary: Path
) -> None:
    state = place / "state"
    await write(state, 20)
    show(state)
    show(temporary)
    before = names(state)
    assert as_another_user(partial(keys, state)) == ALL
    assert names(state) == before


@pytest.mark.parametrize("parts", [(NAME, WAL), (NAME, WAL, SHM)], ids=["without shm", "with shm"])
async def test_a_snapshot_is_read_with_all_that_is_only_in_its_log(
    place: Path, temporary: Path, parts: tuple[str, ...]
) -> None:
    copy = await snapshot(place, "snapshot", *parts)
    show(copy)
    before = {name: (copy / name).read_bytes() for name in parts}
    assert as_another_user(partial(keys, copy)) == ALL
    assert {name: (copy / name).read_bytes() for name in names(copy)} == before
    assert names(temporary) == []


@pytest.mark.parametrize("hidden", ["", SHM], ids=["with the shared memory", "by a copy"])
async def test_a_journal_is_read_while_its_owner_writes_it(place: Path, temporary: Path, hidden: str) -> None:
    state = place / "state"
    async with opened(state) as journal:
        await journal.admit(jobs(20), stamped=True)
        show(state, but=hidden)
        assert as_another_user(partial(keys, state)) == ALL
        await journal.admit([job(21)], stamped=True)
        assert as_another_user(partial(keys, state)) == [*ALL, "job-21"]
        state.chmod(0o755)
    assert names(temporary) == []


def read_on(state: Path) -> list[int]:
    """Read for a while; every answer is complete, and later ones are not smaller."""
    sizes = []
    for _ in range(15):
        found = [row.job_id for row in results(state)]
        assert found == [f"job-{number}" for number in range(1, len(found) + 1)]
        sizes.append(len(found))
    return sizes


def test_copies_of_a_journal_that_is_written_all_the_time_are_complete(place: Path, temporary: Path) -> None:
    state = place / "state"
    with child("write", state) as writer:
        assert writer.stdout is not None
        for _ in range(400):
            writer.stdout.readline()
        show(state, but=SHM)
        drain = os.fork()
        if drain == 0:  # the pipe must not stop the writer
            while writer.stdout.readline():
                pass
            os._exit(0)
        sizes = as_another_user(partial(read_on, state))
        writer.send_signal(signal.SIGKILL)
        os.waitpid(drain, 0)
    assert sizes == sorted(sizes)
    assert sizes[-1] > sizes[0]
    assert names(temporary) == []


async def test_an_answer_is_dropped_if_a_run_began_meanwhile(tmp_path: Path) -> None:
    await write(tmp_path, 3)
    calls: list[int] = []

    with closing(JournalView(tmp_path / NAME)) as view:
        assert view.read(lambda connection: len(connection.execute("SELECT id FROM job").fetchall())) == 3
        async with opened(tmp_path) as journal:
            await journal.admit([job(4)], stamped=True)

            def count(connection: object) -> int:
                calls.append(connection.execute("SELECT count(*) FROM job").fetchone()[0])  # type: ignore[attr-defined]
                return calls[-1]

            assert view.read(count) == 4
    assert calls == [3, 4]


async def test_a_copy_that_is_interrupted_leaves_nothing(place: Path, temporary: Path) -> None:
    copy = await snapshot(place, "snapshot", NAME, WAL)
    with (copy / NAME).open("r+b") as file:
        file.truncate(1 << 30)  # so that copying takes a while
    show(copy)

    def interrupted() -> str:
        signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        try:
            return str(keys(copy))
        except KeyboardInterrupt:
            return f"interrupted, {names(temporary)} left"

    assert as_another_user(interrupted) == "interrupted, [] left"


async def test_where_there_is_no_room_for_a_copy_one_sentence_says_so(place: Path, temporary: Path) -> None:
    copy = await snapshot(place, "snapshot", NAME, WAL)
    show(copy)

    def limited() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        keys(copy)

    with pytest.raises(JournalError, match=f"only as a copy, which needs .* bytes in {temporary} .*TMPDIR"):
        as_another_user(limited)
    assert names(temporary) == []


@pytest.mark.parametrize("hidden", [NAME, WAL])
async def test_a_file_that_must_not_be_read_is_an_error_and_never_a_journal_without_rows(
    place: Path, temporary: Path, hidden: str
) -> None:
    copy = await snapshot(place, "snapshot", NAME, WAL)
    show(copy, but=hidden)
    with pytest.raises(JournalError, match=r"can't be used: Permission denied\. Give this user access"):
        as_another_user(partial(keys, copy))
    assert names(temporary) == []


async def test_a_directory_that_must_not_be_entered_is_an_error_and_not_a_missing_journal(place: Path) -> None:
    await write(place / "state", 3)
    (place / "state").chmod(0)
    with pytest.raises(JournalError, match="Give this user access to the state directory"):
        as_another_user(partial(keys, place / "state"))


async def test_a_log_without_its_journal_is_damage_also_for_a_reader(place: Path) -> None:
    copy = await snapshot(place, "snapshot", WAL)
    with pytest.raises(JournalError, match=r"journal\.db is missing, but journal\.db-wal is there"):
        keys(copy)


def test_a_reader_changes_nothing_where_it_may_write(tmp_path: Path) -> None:
    open_owned(tmp_path / NAME).close()
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert status(tmp_path, now=0).batches == ()
    assert list(results(tmp_path, outcome=State.CREATED)) == []
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


async def test_the_log_of_a_journal_is_found_through_a_link(place: Path) -> None:
    copy = await snapshot(place, "snapshot", NAME, WAL)
    (place / "linked").mkdir()
    (place / "linked" / NAME).symlink_to(copy / NAME)
    assert keys(place / "linked") == ALL


def printed(print_it: Callable[[], object]) -> str:
    with redirect_stdout(StringIO()) as printed:
        print_it()
    return printed.getvalue()


async def test_status_and_results_print_the_same_for_a_user_who_may_only_read_the_journal(place: Path) -> None:
    state = place / "state"
    await write(state, 3)
    commands = [
        partial(inspect.results, state, outcome=None, batch=None, as_csv=True),
        partial(inspect.status, state, as_json=False),
    ]
    expected = [printed(command) for command in commands]
    show(state, but="lock")
    assert as_another_user(lambda: [printed(command) for command in commands]) == expected
    assert expected[0].count("created") == 3
    assert "created                3" in expected[1]


def test_a_copy_is_not_used_if_the_log_was_restarted_meanwhile(tmp_path: Path) -> None:
    path, wal = tmp_path / NAME, tmp_path / WAL
    with closing(open_owned(path)) as owner:
        find_or_create(owner, SCOPE)

        def copy_slowly(source: Path, target: Path) -> None:
            shutil.copyfile(source, target)
            if source == path:  # the batch, which is in the log only, goes to the file that is copied already
                owner.execute("PRAGMA wal_checkpoint(RESTART)")
                owner.execute("INSERT INTO clock VALUES (1, 2, 3, 4)")

        with pytest.raises(ChangedError):
            copied(path, wal, copy_slowly)
        with closing(copied(path, wal)) as copy:
            assert [it.scope for it in find_batches(copy)] == [SCOPE]
