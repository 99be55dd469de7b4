"""The state directory is examined as it is: its rights, its place, its room."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ingestor.app.doctor.finding import Finding, Grade
from ingestor.app.doctor.state import journal, of_place, state
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.machine import SteadyClock
from ingestor.app.options import BatchOptions
from ingestor.journal.journal import SqliteJournal
from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import ExitCode, JournalVersionError, UsageError
from tests.support.another_user import as_another_user
from tests.support.records import SCOPE

MOUNT = "1 0 8:1 / / rw - {} /dev/sda1 rw\n"


def subject(path: Path, *, new_state: bool = True) -> Subject:
    return Subject(options=BatchOptions(state=path, new_state=new_state))


def found_in(path: Path) -> Sequence[Finding]:
    """Return what is not well, or all findings if nothing is."""
    found = state(subject(path), Facts())
    return [it for it in found if it.grade is not Grade.OK] or found


@pytest.fixture
def private(tmp_path: Path) -> Path:
    path = tmp_path / "state"
    path.mkdir(0o700)
    return path


@pytest.fixture
def public_path() -> Iterator[Path]:
    """A folder that every user may enter."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
        Path(folder).chmod(0o755)


def test_a_directory_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    (found,) = found_in(tmp_path / "a" / "b")
    assert found.grade is Grade.OK
    assert "it does not exist yet, and a run creates it" in found.what
    assert list(tmp_path.iterdir()) == []


def test_a_good_directory_is_shown_with_its_file_system_and_its_room(private: Path) -> None:
    (found,) = found_in(private)
    assert found.grade is Grade.OK
    assert str(private) in found.what
    assert found.what.endswith(" free")
    assert list(private.iterdir()) == []


@pytest.mark.parametrize(("mode", "is_open"), [(0o700, False), (0o750, True), (0o705, True)])
def test_a_directory_that_others_can_read_is_a_warning_with_the_command_that_closes_it(
    private: Path, mode: int, is_open: bool
) -> None:
    private.chmod(mode)
    assert [it.grade for it in found_in(private)] == [Grade.WARNING if is_open else Grade.OK]
    assert (f"chmod -R go= {private}" in found_in(private)[0].advice) == is_open


def test_a_file_in_it_that_others_can_read_is_named(private: Path) -> None:
    for name in ("journal.db", "log.jsonl"):
        (private / name).write_text("")
        (private / name).chmod(0o644)
    (found,) = found_in(private)
    assert "and 1 more" in found.what


@pytest.mark.parametrize("mode", [0o555, 0o700, 0o000])
def test_a_directory_that_this_user_can_not_write_is_a_problem(public_path: Path, mode: int) -> None:
    path = public_path / "state"
    path.mkdir()
    (path / "lock").touch(0o600)
    path.chmod(mode if os.geteuid() == 0 else mode & 0o577)
    found = as_another_user(partial(found_in, path))
    assert found[0].grade is Grade.PROBLEM
    assert found[0].what.startswith(f"This user can't write {path}")


def test_a_directory_that_can_not_be_created_is_a_problem(public_path: Path) -> None:
    public_path.chmod(0o555)
    (found,) = as_another_user(partial(found_in, public_path / "state"))
    assert found.grade is Grade.PROBLEM
    assert f"{public_path} is not writable" in found.what


def test_a_file_in_its_place_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    assert [it.grade for it in found_in(tmp_path / "state")] == [Grade.PROBLEM]


def test_another_run_is_a_warning_and_keeps_its_lock(private: Path) -> None:
    with StateDirectory.open(private):
        (found,) = found_in(private)
        assert found.grade is Grade.WARNING
        assert f"in use by process {os.getpid()} on " in found.what
        assert "75" in found.why


def test_a_missing_volume_is_the_problem_of_a_run_that_may_begin_no_journal(private: Path) -> None:
    with pytest.raises(UsageError, match="--no-new-state forbids"):
        state(subject(private, new_state=False), Facts())


@pytest.mark.parametrize(
    ("kind", "is_allowed", "grades"),
    [
        ("ext4", False, []),
        ("nfs4", False, [Grade.PROBLEM]),
        ("nfs4", True, [Grade.WARNING]),
        ("tmpfs", False, [Grade.WARNING]),
    ],
)
def test_a_network_file_system_and_one_in_memory_are_named(
    tmp_path: Path, kind: str, is_allowed: bool, grades: list[Grade]
) -> None:
    found = list(of_place(tmp_path, kind, free=10**12, is_allowed=is_allowed))
    assert [it.grade for it in found] == grades
    assert all(kind in it.what for it in found)


@pytest.mark.parametrize(("free", "grade"), [(10 * 1024**2, Grade.PROBLEM), (100 * 1024**2, Grade.WARNING)])
def test_little_room_is_a_warning_and_no_room_a_problem(tmp_path: Path, free: int, grade: Grade) -> None:
    (found,) = of_place(tmp_path, "ext4", free=free, is_allowed=False)
    assert found.grade is grade
    assert f"Only {free // 1024**2}.0 MiB are free" in found.what


def test_of_a_file_system_that_is_mounted_read_only_nothing_else_is_said(tmp_path: Path) -> None:
    (found,) = of_place(tmp_path, "tmpfs", free=0, is_allowed=False, is_read_only=True)
    assert (found.grade, "is mounted read-only" in found.what) == (Grade.PROBLEM, True)


async def test_a_journal_of_a_newer_version_is_a_problem_of_usage(private: Path) -> None:
    with StateDirectory.open(private) as directory:
        async with SqliteJournal.open(directory, SCOPE, SteadyClock()):
            pass
    assert isinstance(found := journal(subject(private), Facts()), Finding)
    assert "no damage" in found.what
    with closing(sqlite3.connect(private / "journal.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalVersionError) as caught:
        journal(subject(private), Facts())
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_file_that_is_no_journal_is_a_problem_of_the_journal(private: Path) -> None:
    (private / "journal.db").write_bytes(b"SQLite format 3\0" + bytes(100))
    with pytest.raises(Exception, match=r"journal\.db") as caught:
        journal(subject(private), Facts())
    assert getattr(caught.value, "exit_code", None) is ExitCode.HALTED


def test_a_warning_does_not_hide_the_file_system_and_the_room(private: Path) -> None:
    private.chmod(0o755)
    doubt, place = state(subject(private), Facts())
    assert (doubt.grade, place.grade) == (Grade.WARNING, Grade.OK)
    assert place.what.endswith(" free")
