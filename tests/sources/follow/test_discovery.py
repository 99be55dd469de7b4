"""Which files a SOURCE means while it is followed, and when a new one is found."""

import os
from errno import EACCES
from pathlib import Path

import pytest

from ingestor.sources.follow import files
from tests.sources.follow.followed import Followed, append, record, records


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("app.log", "app.log"),
        ("app.log*", "app.log.1"),
        (".", "a.jsonl"),
        (".", "deep/er/a.jsonl"),
        ("pods/*/run-*.log", "pods/x/run-1.log"),
        ("pods/**/a.log", "pods/x/y/z/a.log"),
        ("pods/**", "pods/x/any"),
        ("new/folder/*.log", "new/folder/a.log"),
        ("[ab].log", "b.log"),
    ],
)
def test_a_file_that_appears_later_is_found_at_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    followed = Followed(source)
    assert followed.read_for(50) == []
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_bytes(records("a"))
    assert followed.read() == ["a"]
    append(Path(name), records("b"))
    assert followed.read() == ["b"]


def test_an_existing_name_is_no_glob(tmp_path: Path) -> None:
    (tmp_path / "a[1].log").write_bytes(records("a"))
    (tmp_path / "a1.log").write_bytes(records("other"))
    assert Followed(tmp_path / "a[1].log").read() == ["a"]


def test_hidden_and_unfinished_files_and_what_is_no_file_are_left_out(tmp_path: Path) -> None:
    for name in (".a.jsonl", "a.jsonl.tmp", "a.jsonl.part", "note.txt", ".git/a.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(records(name))
    os.mkfifo(tmp_path / "pipe.jsonl")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "a.jsonl").write_bytes(records("a"))
    assert Followed(tmp_path).read_for(3) == ["a"]
    assert Followed(tmp_path / "*.jsonl*").read_for(3) == ["a"]
    assert Followed(tmp_path / "*.part").read_for(3) == ["a.jsonl.part"]


def test_a_file_that_is_renamed_when_it_is_complete_is_read_as_a_whole(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    append(tmp_path / "a.jsonl.tmp", records("a"))
    assert followed.read_for(3) == []
    (tmp_path / "a.jsonl.tmp").rename(tmp_path / "a.jsonl")
    assert followed.read() == ["a"]


def test_a_file_of_two_sources_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(records("a"))
    (tmp_path / "link.jsonl").symlink_to("a.jsonl")
    assert Followed(tmp_path, tmp_path / "*.jsonl", tmp_path / "a.jsonl").read_for(3) == ["a"]


def test_a_link_that_is_pointed_to_another_file_is_followed_there(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"real-{number}").write_bytes(record(number))
    link = tmp_path / "0.log"
    link.symlink_to("real-0")
    followed = Followed(tmp_path / "*.log")
    assert followed.read() == ["0"]
    for number in (1, 2):
        link.unlink()
        link.symlink_to(f"real-{number}")
        append(tmp_path / f"real-{number - 1}", record(f"late-{number - 1}"))
        assert sorted(followed.read_for(2)) == [str(number), f"late-{number - 1}"]


def test_a_link_to_a_file_that_is_rotated_elsewhere_is_followed(tmp_path: Path) -> None:
    real = tmp_path / "containers"
    real.mkdir()
    (real / "0.log").write_bytes(records("a"))
    (tmp_path / "pod.log").symlink_to(real / "0.log")
    followed = Followed(tmp_path / "*.log")
    assert followed.read() == ["a"]
    (real / "0.log").rename(real / "0.log.1")
    append(real / "0.log.1", records("late"))
    (real / "0.log").write_bytes(records("b"))
    assert sorted(followed.read()) == ["b", "late"]


def test_a_directory_that_is_swapped_as_a_whole_is_read(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"..{number}").mkdir()
        (tmp_path / f"..{number}" / "a.log").write_bytes(record(number))
    (tmp_path / "..data").symlink_to("..0")
    (tmp_path / "a.log").symlink_to("..data/a.log")
    followed = Followed(tmp_path / "a.log")
    assert followed.read() == ["0"]
    (tmp_path / "..new").symlink_to("..1")
    (tmp_path / "..new").replace(tmp_path / "..data")
    assert followed.read() == ["1"]


def test_a_link_that_dangles_for_two_seconds_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(records("a"))
    link = tmp_path / "0.log"
    link.symlink_to("real")
    followed = Followed(link)
    assert followed.read() == ["a"]
    (tmp_path / "real").rename(tmp_path / "away")
    append(tmp_path / "away", records("b"))
    assert followed.read_for(2) == ["b"]
    (tmp_path / "real").write_bytes(records("c"))
    assert followed.read() == ["c"]


@pytest.mark.parametrize("source", [".", "*.jsonl", "**/*.jsonl"])
def test_a_link_that_leads_to_itself_hides_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop.jsonl").symlink_to("loop.jsonl")
    Path("a.jsonl").write_bytes(records("a"))
    followed = Followed(source)
    assert followed.read() == ["a"]
    Path("loop.jsonl").unlink()
    Path("loop.jsonl").write_bytes(records("b"))
    assert followed.read() == ["b"]


def test_a_directory_that_can_not_be_listed_is_named_once_and_read_when_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")  # a forbidden directory is none for root
    followed = Followed("loop/*.jsonl")
    assert followed.read_for(3) == []
    Path("loop").unlink()
    Path("loop").mkdir()
    Path("loop/a.jsonl").write_bytes(records("a"))
    assert followed.read() == ["a"]
    assert followed.said == ["loop: can't be listed: Too many levels of symbolic links"]


def test_a_file_that_could_not_be_opened_is_read_at_the_next_look_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(records("a"))
    followed = Followed(tmp_path)
    with monkeypatch.context() as patch:  # root may open everything
        patch.setattr(files, "open_input", forbidden)
        assert followed.read_for(3) == []
    assert followed.read() == []
    path.chmod(0o600)
    assert followed.read() == ["a"]
    assert followed.said == [f"{path}: can't be read: Permission denied"]


def forbidden(_name: str, *, is_file: bool) -> int:
    assert is_file
    raise PermissionError(EACCES, "Permission denied")


def test_files_that_this_program_writes_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "rejects.jsonl").write_bytes(records("own"))
    (tmp_path / "a.jsonl").write_bytes(records("a"))
    assert Followed(tmp_path, own=tmp_path / "rejects.jsonl").read_for(3) == ["a"]


def test_a_line_in_an_idle_file_is_found_within_half_a_minute(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"{number}.jsonl").write_bytes(record(number))
    followed = Followed(tmp_path)
    assert len(followed.read()) == 100
    followed.read_for(700)
    append(tmp_path / "7.jsonl", records("late"))
    assert followed.read_for(30) == ["late"]
    append(tmp_path / "7.jsonl", records("soon"))
    assert followed.read() == ["soon"]


def test_most_idle_files_are_not_looked_at_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(200):
        (tmp_path / f"{number}.jsonl").write_bytes(record(number))
    followed = Followed(tmp_path)
    followed.read()
    followed.read_for(700)
    looked: list[str] = []
    real = os.stat

    def stat(path: str, **options: bool) -> os.stat_result:
        looked.append(str(path))
        return real(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    followed.read_for(25)
    assert 200 <= len([it for it in looked if it.endswith(".jsonl")]) <= 240


def test_a_file_that_is_renamed_between_the_look_and_its_turn_is_read_at_the_next_look(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jsonl").write_bytes(record(number))
    followed = Followed(tmp_path, handles=1)
    followed.look()
    for number in range(3):
        (tmp_path / f"{number}.jsonl").rename(tmp_path / f"new-{number}.jsonl")
        (tmp_path / f"{number}.jsonl").write_bytes(record(f"other-{number}"))
    found = {*followed.drain(), *followed.read_for(2)}
    assert found == {*map(str, range(3)), *(f"other-{number}" for number in range(3))}
    assert followed.said == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"job_id,run_name\na,b\nc,d\n", "this is CSV"),
        (b'[\n{"job_id":"a"},\n{"job_id":"b"}]\n', "this is a JSON array"),
    ],
)
def test_a_file_of_another_format_is_refused_as_a_whole_and_once(tmp_path: Path, content: bytes, what: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    followed = Followed(tmp_path)
    (found,) = followed.read()
    assert what in found
    append(path, content)
    assert followed.read_for(40) == []
    path.write_bytes(records("a"))
    assert followed.read_for(3) == ["a"]


def test_a_file_that_leaves_the_time_of_its_directory_unchanged_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(records("a"))
    before = tmp_path.stat()
    followed = Followed(tmp_path)
    assert followed.read(0.1) == ["a"]
    (tmp_path / "b.jsonl").write_bytes(records("b"))
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))  # both in one tick of the file system's clock
    assert followed.read() == ["b"]


def test_an_idle_file_that_is_replaced_is_read_at_the_next_look(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"{number}.jsonl").write_bytes(record(number))
    followed = Followed(tmp_path)
    followed.read()
    followed.read_for(700)
    for number in range(10, 20):
        (tmp_path / "new.tmp").write_bytes(record(f"new-{number}"))
        (tmp_path / "new.tmp").rename(tmp_path / f"{number}.jsonl")
    assert sorted(followed.read()) == [f"new-{number}" for number in range(10, 20)]
