"""Finished files are deleted or moved as they were read, by their own names, and never outside the directories."""

import os
from pathlib import Path

import pytest

from ingestor.app.on_done import AGE, Action, OnDone
from ingestor.sources.follow.done import DoneFile, Entry
from ingestor.sources.follow.patterns import root_of
from ingestor.sources.follow.unread import unread_files
from ingestor.sources.unchanged import state_of
from tests.sources.follow.followed import Followed, append, records


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "spool").mkdir()
    return tmp_path / "spool"


def done(path: Path) -> DoneFile:
    status = path.stat()
    return DoneFile(str(path), (status.st_dev, status.st_ino), state_of(status))


def opened(file: DoneFile, root: Path) -> Entry:
    entry = Entry.open(file, [str(root)])
    assert entry is not None
    return entry


def test_a_file_is_deleted_that_is_as_it_was(root: Path) -> None:
    path = root / "a.jsonl"
    path.write_bytes(records("a"))
    entry = opened(done(path), root)
    assert Path(entry.content).read_bytes() == records("a")
    assert entry.delete()
    entry.close()
    assert not path.exists()


@pytest.mark.parametrize("is_open", [False, True])
def test_a_file_that_changed_stays(root: Path, is_open: bool) -> None:
    path = root / "a.jsonl"
    path.write_bytes(records("a"))
    file = done(path)
    if not is_open:
        append(path, records("b"))
        assert Entry.open(file, [str(root)]) is None
        return
    entry = opened(file, root)
    append(path, records("b"))
    assert (entry.delete(), entry.move(root / "done")) == (False, None)
    entry.close()
    assert path.read_bytes() == records("a", "b")
    assert list((root / "done").iterdir()) == []


def test_a_file_that_was_replaced_by_another_one_stays(root: Path) -> None:
    path = root / "a.jsonl"
    path.write_bytes(records("a"))
    entry = opened(done(path), root)
    (root / "new").write_bytes(records("b"))
    (root / "new").rename(path)
    assert not entry.delete()
    entry.close()
    assert path.read_bytes() == records("b")


def test_neither_a_link_nor_what_lies_outside_is_touched(root: Path) -> None:
    outside = root.parent / "outside"
    outside.mkdir()
    (outside / "a.jsonl").write_bytes(records("a"))
    (root / "link.jsonl").symlink_to(outside / "a.jsonl")
    (root / "folder").symlink_to(outside)
    for path in (root / "link.jsonl", root / "folder" / "a.jsonl", outside / "a.jsonl"):
        assert Entry.open(done(path), [str(root)]) is None
    assert (outside / "a.jsonl").exists()


def test_a_moved_file_keeps_its_place_and_replaces_nothing(root: Path) -> None:
    target = root.parent / "done"
    for content in (b"1\n", b"2\n", b"3\n"):
        path = root / "deep" / "a.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        entry = opened(done(path), root)
        assert entry.move(target) is not None
        entry.close()
        assert not path.exists()
    found = sorted((it.name, it.read_bytes()) for it in (target / "deep").iterdir())
    assert found == [("a.jsonl", b"1\n"), ("a.jsonl.2", b"2\n"), ("a.jsonl.3", b"3\n")]


def test_a_link_in_the_target_directory_leads_no_file_elsewhere(root: Path) -> None:
    outside, target = root.parent / "outside", root / "done"
    for folder in (outside, target, root / "deep"):
        folder.mkdir()
    (target / "deep").symlink_to(outside)
    path = root / "deep" / "a.jsonl"
    path.write_bytes(records("a"))
    entry = opened(done(path), root)
    with pytest.raises(NotADirectoryError):
        entry.move(target)
    entry.close()
    assert (path.exists(), list(outside.iterdir())) == (True, [])


def test_a_link_with_the_name_of_the_file_in_the_target_directory_is_not_followed(root: Path) -> None:
    target = root.parent / "done"
    target.mkdir()
    (target / "a.jsonl").symlink_to(root.parent / "outside")
    path = root / "a.jsonl"
    path.write_bytes(records("a"))
    entry = opened(done(path), root)
    assert entry.move(target) == target / "a.jsonl.2"
    entry.close()
    assert not (root.parent / "outside").exists()


def test_a_file_is_moved_to_another_file_system(root: Path) -> None:
    memory = Path("/dev/shm")  # noqa: S108 - the other file system of every Linux
    target = memory / f"ingestor-{os.getpid()}"
    path = root / "a.jsonl"
    path.write_bytes(records("a"))
    path.chmod(0o640)
    os.utime(path, (1e9, 1e9))
    entry = opened(done(path), root)
    try:
        moved = entry.move(target)
        assert moved is not None
        assert (moved.read_bytes(), path.exists()) == (records("a"), False)
        assert (moved.stat().st_mode & 0o777, moved.stat().st_mtime) == (0o640, 1e9)
    finally:
        entry.close()
        for it in target.iterdir():
            it.unlink()
        target.rmdir()


def test_the_root_of_a_source_is_where_everything_is_that_it_means(root: Path) -> None:
    real = os.path.realpath(root)
    assert [root_of(f"{root}{end}") for end in ("", "/*.jsonl", "/**/a.jsonl", "/a.jsonl", "/*/b")] == [real] * 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("keep", OnDone()),
        ("delete", OnDone(Action.DELETE)),
        ("move:/done", OnDone(Action.MOVE, Path("/done"))),
        ("move:a:b", OnDone(Action.MOVE, Path("a:b"))),
    ],
)
def test_an_action_is_a_word_and_a_directory(text: str, expected: OnDone) -> None:
    assert OnDone.parse(text) == expected
    assert expected.age == AGE


@pytest.mark.parametrize("text", ["", "move", "move:", "delete:x", "keep:", "Delete", "remove"])
def test_another_action_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="must be keep, delete or move:DIR"):
        OnDone.parse(text)


def test_what_is_unread_is_found_also_where_the_file_was_renamed(tmp_path: Path) -> None:
    for name in ("grown", "same", "renamed", "gone"):
        (tmp_path / f"{name}.log").write_bytes(records(name))
    followed = Followed(tmp_path / "*.log")
    followed.read()
    known = followed.close()
    append(tmp_path / "grown.log", records("more"))
    append(tmp_path / "renamed.log", records("more"))
    (tmp_path / "renamed.log").rename(tmp_path / "renamed.log.1")
    (tmp_path / "gone.log").unlink()
    assert sorted(Path(it).name for it in unread_files(known)) == ["grown.log", "renamed.log.1"]
