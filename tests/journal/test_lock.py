import fcntl
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestor.journal.lock import StateDirectory, holder_of, network_filesystem
from ingestor.journal.reader import results
from ingestor.model.errors import ExitCode, JournalError, StateInUseError
from tests.journal.support import child, opened
from tests.support.records import job

MOUNTS = r"""
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:25 / /mnt/share rw - nfs4 server:/export rw
31 30 8:2 / /mnt/share/local\040disk rw - xfs /dev/sdb rw
32 22 0:26 / /mnt/over rw - ext4 /dev/sdc rw
33 22 0:27 / /mnt/over rw - fuse.sshfs host: rw
"""


def test_the_error_for_a_second_owner_names_the_holder_of_the_directory(tmp_path: Path) -> None:
    with child("hold", tmp_path / "state") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StateInUseError, match=f"in use by process {holder.pid} on ") as refusal:
            StateDirectory.open(tmp_path / "state")
        holder.kill()
    assert refusal.value.exit_code is ExitCode.STOPPED


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path) -> None:
    with child("hold", tmp_path / "state") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()
    StateDirectory.open(tmp_path / "state").close()


def test_a_closed_directory_can_be_opened_again(tmp_path: Path) -> None:
    first = StateDirectory.open(tmp_path / "state")
    with pytest.raises(StateInUseError):
        StateDirectory.open(tmp_path / "state")
    first.close()
    first.close()
    StateDirectory.open(tmp_path / "state").close()


def test_the_holder_is_known_without_the_lock_and_nobody_after_its_death(tmp_path: Path) -> None:
    with child("hold", tmp_path / "state") as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        found = holder_of(tmp_path / "state")
        assert found is not None
        assert found.words.startswith(f"process {holder.pid} on ")
        assert found.since is not None
        assert abs(found.since - (tmp_path / "state" / "lock").stat().st_mtime) < 10
        holder.kill()
    assert holder_of(tmp_path / "state") is None
    assert holder_of(tmp_path / "nothing") is None


def test_asking_who_holds_a_directory_does_not_keep_a_run_from_taking_it(tmp_path: Path) -> None:
    """Asking takes a shared lock for an instant: a run that begins in this instant tries again."""
    StateDirectory.open(tmp_path).close()
    asking = os.open(tmp_path / "lock", os.O_RDONLY)
    fcntl.flock(asking, fcntl.LOCK_SH)
    answered = threading.Timer(0.02, os.close, [asking])
    answered.start()
    StateDirectory.open(tmp_path).close()
    answered.join()


def modes(path: Path) -> dict[str, int]:
    return {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.rglob("*")}


async def test_directories_and_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with opened(tmp_path / "new" / "state") as journal:
            await journal.admit([job()], stamped=True)
            found = modes(tmp_path)
    finally:
        os.umask(before)
    private = dict.fromkeys(["lock", "journal.db", "journal.db-wal", "journal.db-shm"], 0o600)
    assert found == {"new": 0o700, "state": 0o700} | private


def test_a_directory_that_cannot_be_made_is_named_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(JournalError, match=r"file/state can't be used: Not a directory\. .*--state"):
        StateDirectory.open(tmp_path / "file" / "state")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_lock_that_is_no_file_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "lock")
    with pytest.raises(JournalError, match=f"{tmp_path}/lock must be a regular file, and is something else"):
        StateDirectory.open(tmp_path)


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    path.unlink()
    path.touch()


@pytest.mark.parametrize("take_away", [remove, replace])
async def test_a_run_whose_lock_was_taken_away_stops_before_it_sends_more(
    tmp_path: Path, take_away: Callable[[Path], None]
) -> None:
    async with opened(tmp_path) as journal:
        await journal.admit([job(1)], stamped=True)
        take_away(tmp_path / "lock")
        async with opened(tmp_path) as other:
            await other.admit([job(2)], stamped=True)
            with pytest.raises(JournalError, match=r"lock was removed or replaced .* another run may use"):
                await journal.admit([job(3)], stamped=True)
            await other.admit([job(4)], stamped=True)
    assert [row.job_id for row in results(tmp_path)] == ["job-1", "job-2", "job-4"]


def test_a_network_file_system_is_refused_unless_allowed(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 0:9 / {tmp_path} rw - cifs //host/share rw")
    with pytest.raises(JournalError, match=r"network file system \(cifs\)"):
        StateDirectory.open(tmp_path / "state", mounts=mounts)
    assert not (tmp_path / "state").exists()
    StateDirectory.open(tmp_path / "state", allow_network_fs=True, mounts=mounts).close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/data", None),
        ("/mnt/share", "nfs4"),
        ("/mnt/share/deep/er", "nfs4"),
        ("/mnt/shared", None),
        ("/mnt/share/local disk/state", None),
        ("/mnt/over/state", "fuse.sshfs"),
    ],
)
def test_the_nearest_mount_decides(path: str, kind: str | None, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS.lstrip())
    assert network_filesystem(Path(path), mounts) == kind


def test_without_a_list_of_mounts_every_file_system_is_local(tmp_path: Path) -> None:
    assert network_filesystem(tmp_path, tmp_path / "none") is None
