"""Renamed, copied, truncated and compressed files: each record comes once, or is marked as one that came before."""

import gc
import gzip
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestor.model.sources import SourceEnd
from ingestor.sources.follow.files import FollowedFile
from tests.sources.follow.followed import Followed, append, name_of, record, records


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def rename(log: Path, number: int) -> None:
    log.rename(log.with_name(f"app.log.{number}"))
    log.touch()


def copy_and_truncate(log: Path, number: int) -> None:
    shutil.copy(log, log.with_name(f"app.log.{number}"))
    os.truncate(log, 0)


def compress(log: Path, number: int) -> None:
    rename(log, number)
    rotated = log.with_name(f"app.log.{number}")
    with gzip.open(f"{rotated}.gz", "wb") as file:
        file.write(rotated.read_bytes())
    rotated.unlink()


ROTATIONS = pytest.mark.parametrize("rotate", [rename, copy_and_truncate, compress])


@ROTATIONS
@pytest.mark.parametrize("is_killed", [False, True], ids=["running", "killed between"])
def test_each_record_comes_once_where_the_pattern_includes_the_rotated_files(
    log: Path, rotate: Callable[[Path, int], None], is_killed: bool
) -> None:
    pattern = log.with_name("app.log*")
    followed, found, new = Followed(pattern), list[str](), list[str]()
    for number in range(5):
        for line in range(4):
            append(log, record(f"{number}-{line}"))
            if line % 2:
                found += followed.read()
        rotate(log, number)
        new += [f"{number}-{line}" for line in range(4)]
        if is_killed:
            followed = Followed(pattern, known=followed.close())
        found += followed.read_for(4)
    assert sorted(found) == sorted(new)
    assert followed.said == []


@ROTATIONS
def test_what_was_written_after_the_last_look_is_read_from_the_rotated_file(
    log: Path, rotate: Callable[[Path, int], None]
) -> None:
    followed = Followed(log.with_name("app.log*"))
    append(log, records("a"))
    assert followed.read() == ["a"]
    append(log, records("b"))
    rotate(log, 1)
    append(log, records("c"))
    assert sorted(followed.read_for(4)) == ["b", "c"]


def test_a_renamed_file_is_read_to_its_end_though_the_pattern_does_not_include_it(log: Path) -> None:
    followed = Followed(log)
    append(log, records("a"))
    followed.read()
    log.rename(log.with_name("elsewhere"))
    log.touch()
    append(log.with_name("elsewhere"), records("b"))
    append(log, records("c"))
    assert sorted(followed.read_for(2)) == ["b", "c"]
    append(log.with_name("elsewhere"), records("d"))
    assert followed.read() == ["d"]
    followed.read_for(40)
    assert len(followed.sources) == 1


def test_a_deleted_file_is_read_to_its_end_and_then_closed_and_forgotten(log: Path) -> None:
    followed = Followed(log)
    append(log, records("a"))
    followed.look()
    log.unlink()
    followed.look()
    assert followed.read() == ["a"]
    assert len(followed.handles) == 1
    followed.read_for(40)
    assert (len(followed.handles), followed.sources) == (0, [])


def test_a_program_that_still_writes_to_a_deleted_file_is_heard(log: Path) -> None:
    followed = Followed(log)
    with log.open("ab", buffering=0) as file:
        file.write(records("a"))
        assert followed.read() == ["a"]
        log.unlink()
        for key in ("b", "c", "d"):
            file.write(record(key))
            assert followed.read_for(15) == [key]


def test_a_program_that_does_not_append_leaves_a_hole_after_a_truncation_and_no_record_is_lost(log: Path) -> None:
    followed = Followed(log)
    with log.open("wb", buffering=0) as file:
        file.write(records("a", "b", size=200_000))
        assert followed.read() == ["a", "b"]
        os.truncate(log, 0)
        file.write(records("c"))
        assert followed.read() == ["c"]
        file.write(records("d"))
        assert followed.read() == ["d"]


def test_rows_of_files_that_are_gone_do_not_grow(log: Path) -> None:
    followed = Followed(log)
    for number in range(50):
        append(log, record(number))
        assert followed.read() == [str(number)]
        log.unlink()
        followed.read_for(2)
    followed.read_for(40)
    assert followed.sources == []
    assert len(followed.handles) == 0


def test_rows_of_files_that_were_deleted_while_nothing_ran_are_removed(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number}.jsonl").write_bytes(record(number))
    followed = Followed(tmp_path)
    followed.read()
    known = followed.close()
    assert len(known) == 20
    for number in range(1, 20):
        (tmp_path / f"{number}.jsonl").unlink()
    again = Followed(tmp_path, known=known)
    assert again.read_for(70) == []
    assert [it.name for it in again.sources] == [str(tmp_path / "0.jsonl")]


def test_a_compressed_file_is_read_once_it_is_complete(tmp_path: Path) -> None:
    whole = gzip.compress(records("a", "b", "c"))
    path = tmp_path / "a.jsonl.gz"
    followed = Followed(tmp_path)
    path.write_bytes(whole[:20])
    assert followed.read_for(10) == []
    append(path, whole[20:])
    assert followed.read_for(10) == ["a", "b", "c"]


def test_a_compressed_file_that_stays_incomplete_is_rejected_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(records(*range(2000), size=500), 1)[:-100])
    followed = Followed(tmp_path)
    found = followed.read_for(200)
    assert [it for it in found if "its end is missing" in it] == found[-1:]
    assert found[:3] == ["0", "1", "2"]


def test_what_is_appended_to_a_compressed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(records("a")))
    followed = Followed(tmp_path)
    assert followed.read_for(4) == ["a"]
    append(path, gzip.compress(records("b")))
    assert followed.read_for(4) == ["b"]


def test_a_large_compressed_file_is_read_in_turns_with_others(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(records(*range(20_000), size=100), 1))
    followed.read_for(2)
    followed.look()
    append(tmp_path / "b.jsonl", records("small"))
    followed.look()
    for _ in range(10):
        followed.turn()
    assert "small" in [name_of(it) for chunk in followed.chunks for it in chunk.records]


def test_memory_does_not_grow_with_the_files_that_are_gone(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestor.sources.follow.memory.MOST_ENDED", 10)
    followed = Followed(log.with_name("app.log*"))
    for number in range(200):
        append(log, record(number))
        followed.read()
        rename(log, number)
        followed.read()
        log.with_name(f"app.log.{number}").unlink()
        followed.read()
    followed.read_for(60)
    gc.collect()
    files = [it for it in gc.get_objects() if isinstance(it, FollowedFile)]
    assert len(files) <= 10 + 2
    assert followed.handles.has_room


@pytest.mark.parametrize("turns", [1, 2, 3, 5, 8, 13, 21, 34])
def test_the_rest_of_a_compressed_file_is_read_by_the_next_execution(tmp_path: Path, turns: int) -> None:
    keys = [str(number) for number in range(3000)]
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(records(*keys, size=300), 1))
    followed = Followed(tmp_path)
    followed.look()
    followed.look(3)
    for _ in range(turns):
        followed.turn()
    found = [name_of(it) for chunk in followed.chunks for it in chunk.records]
    again = Followed(tmp_path, known=followed.close())
    assert found + again.read_for(3) == keys
    last = Followed(tmp_path, known=again.close())
    assert last.read_for(3) == []


def test_a_compressed_file_that_is_deleted_before_its_turn_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(records("a")))
    followed = Followed(tmp_path)
    followed.look()
    path.unlink()
    assert followed.read_for(5) == ["a"]


def test_an_incomplete_compressed_file_that_is_deleted_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(records(*range(100)))[:-10])
    followed = Followed(tmp_path)
    followed.look()
    path.unlink()
    found = followed.read_for(40)
    assert "its end is missing" in found[-1]


def test_a_file_is_ended_once_where_it_is_truncated_while_its_turn_comes(log: Path) -> None:
    followed = Followed(log)
    append(log, records("a", "b", "c"))
    followed.read()
    append(log, records("d"))
    followed.look()
    log.write_bytes(records("e"))
    assert followed.read() == ["e"]
    assert [chunk.end for chunk in followed.chunks if chunk.end] == [SourceEnd.COMPLETE]
    assert len(followed.sources) == 1


def test_a_hole_between_lines_is_no_part_of_a_record(log: Path) -> None:
    followed = Followed(log)
    append(log, records("a") + bytes(100) + records("b") + bytes(100_000) + records("c"))
    assert followed.read() == ["a", "b", "c"]
