"""The log's file: whatever happens between two lines, the kept files have every line once, in order."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.report.output_file import STALL, LogFile, OutputFile, open_to_append, renames
from tests.report.examples import Watch

MANY = 1000


def lines_of(path: Path) -> list[bytes]:
    """Return the lines of all kept files, the oldest first."""
    renamed = sorted(path.parent.glob(f"{path.name}.*"), key=lambda it: int(it.suffix[1:]), reverse=True)
    return [line for it in [*renamed, path] if it.exists() for line in it.read_bytes().splitlines(keepends=True)]


def names_in(folder: Path) -> list[str]:
    return sorted(it.name for it in folder.iterdir())


def test_a_file_is_renamed_before_it_becomes_too_large_and_so_many_are_kept(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=10, keep=2)
    for number in range(9):
        file.write(b"line%d\n" % number)
    file.close()
    assert names_in(tmp_path) == ["log", "log.1", "log.2"]
    assert lines_of(tmp_path / "log") == [b"line6\n", b"line7\n", b"line8\n"]


def test_many_lines_at_once_go_to_as_many_files_as_they_need(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=8, keep=MANY)
    file.write(b"one\ntwo\nthree\nfour\n")
    file.close()
    assert [(tmp_path / name).read_bytes() for name in ("log.2", "log.1", "log")] == [
        b"one\ntwo\n",
        b"three\n",
        b"four\n",
    ]


def test_a_line_that_is_too_long_has_a_file_of_its_own(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=5, keep=MANY)
    file.write(b"a\nmuch too long\nb\n")
    file.close()
    assert [(tmp_path / name).read_bytes() for name in ("log.2", "log.1", "log")] == [
        b"a\n",
        b"much too long\n",
        b"b\n",
    ]


def test_what_an_earlier_process_wrote_counts_for_the_size(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"earlier\n")
    file = LogFile(tmp_path / "log", max_bytes=10, keep=1)
    file.write(b"later\n")
    file.close()
    assert lines_of(tmp_path / "log") == [b"earlier\n", b"later\n"]
    assert names_in(tmp_path) == ["log", "log.1"]


def test_none_is_kept_if_none_is_wanted(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=5, keep=0)
    file.write(b"one\ntwo\n")
    file.close()
    assert (names_in(tmp_path), lines_of(tmp_path / "log")) == (["log"], [b"two\n"])


def test_renamed_files_are_for_their_owner_only(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=5, keep=1)
    file.write(b"one\ntwo\n")
    file.close()
    assert {it.stat().st_mode & 0o777 for it in tmp_path.iterdir()} == {0o600}


def test_a_link_stays_and_its_file_is_renamed_beside_itself(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "disk" / "real")
    file = LogFile(tmp_path / "log", max_bytes=5, keep=1)
    file.write(b"one\ntwo\n")
    file.close()
    assert (tmp_path / "log").is_symlink()
    assert names_in(tmp_path / "disk") == ["real", "real.1"]


def test_after_another_program_renamed_it_a_new_file_is_opened_on_request(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log")
    file.write(b"one\n")
    (tmp_path / "log").rename(tmp_path / "log-20260102")
    file.write(b"two\n")
    file.reopen()
    assert (tmp_path / "log").read_bytes() == b""
    file.write(b"three\n")
    file.close()
    assert (tmp_path / "log-20260102").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "log").read_bytes() == b"three\n"


def test_a_file_that_another_program_renamed_is_not_renamed_again(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", max_bytes=5, keep=3)
    file.write(b"one\n")
    (tmp_path / "log").rename(tmp_path / "log.1")
    file.write(b"two\n")
    file.close()
    assert names_in(tmp_path) == ["log", "log.1"]
    assert lines_of(tmp_path / "log") == [b"one\n", b"two\n"]


class Raced(LogFile):
    """A log that another program renames right after this one has looked at its name."""

    at: int

    def _has_its_name(self) -> bool:
        found = super()._has_its_name()
        self.at -= 1
        if self.at == 0:
            rename_all(self._path, MANY)
        return found


@pytest.mark.parametrize("keep", [0, 1, MANY])
@pytest.mark.parametrize("at", [1, 2])
def test_a_file_that_another_program_renames_at_the_same_time_is_opened_anew(
    tmp_path: Path, keep: int, at: int
) -> None:
    file = Raced(tmp_path / "log", max_bytes=5, keep=keep)
    file.at = at
    file.write(b"one\n")
    file.write(b"two\n")
    file.close()
    assert file.at < 1
    assert lines_of(tmp_path / "log") == [b"one\n", b"two\n"]


def test_renames_end_at_the_first_number_that_is_free(tmp_path: Path) -> None:
    for name in ("log", "log.1", "log.3"):
        (tmp_path / name).touch()
    numbers = [(old.name, new.name) for old, new in renames(tmp_path / "log", keep=4)]
    assert numbers == [("log.1", "log.2"), ("log", "log.1")]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 5)),
        st.tuples(st.just("reopen"), st.just(0)),
        st.tuples(st.just("renamed by another program"), st.just(0)),
        st.tuples(st.just("crash"), st.integers(0, 6)),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)  # each file that is closed is synced to the disk
@given(steps=steps, max_bytes=st.integers(5, 60))
def test_every_line_is_once_and_in_order_in_the_kept_files(steps: list[tuple[str, int]], max_bytes: int) -> None:
    with TemporaryDirectory() as folder:
        path, written = Path(folder) / "log", list[bytes]()
        file = LogFile(path, max_bytes, keep=MANY)
        for step, number in steps:
            match step:
                case "write":
                    lines = [b"%d" % (len(written) + it) * (it + 1) + b"\n" for it in range(number)]
                    file.write(b"".join(lines))
                    written += lines
                case "reopen":
                    file.reopen()
                case "renamed by another program":
                    rename_all(path, MANY)
                case _:
                    file.close()
                    rename_all(path, number)
                    file = LogFile(path, max_bytes, keep=MANY)
        file.close()
        assert lines_of(path) == written


def rename_all(path: Path, most: int) -> None:
    """Make the first renames, as logrotate does, or as a process does that is killed among them."""
    if path.exists() and path.stat().st_size:
        for old, new in renames(path, MANY)[:most]:
            old.rename(new)


@pytest.mark.parametrize("max_bytes", [2, 7, 20])
def test_no_file_is_larger_than_it_may_be(tmp_path: Path, max_bytes: int) -> None:
    file = LogFile(tmp_path / "log", max_bytes, keep=MANY)
    for at_once in range(6):
        file.write(b"x\n" * at_once)
    file.close()
    assert max(it.stat().st_size for it in tmp_path.iterdir()) <= max_bytes


def test_a_call_of_the_system_that_takes_long_names_whom_it_waits_for(tmp_path: Path) -> None:
    clock, seen = Watch(0.0), list[str | None]()

    def open_file() -> int:
        for _ in range(2):
            seen.append(file.waits_for())
            clock.time += STALL
        return open_to_append(tmp_path / "log")

    file = OutputFile(open_file, clock.now)
    file.write(b"one\n")
    file.close()
    assert seen == [None, "a program that opens it to read"]
    assert file.waits_for() is None


def test_a_file_without_its_folder_can_not_be_opened_anew(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    file = LogFile(tmp_path / "logs" / "log")
    file.write(b"one\n")
    (tmp_path / "logs" / "log").unlink()
    (tmp_path / "logs").rmdir()
    with pytest.raises(FileNotFoundError):
        file.reopen()
    file.close()
    assert not os.path.lexists(tmp_path / "logs")
