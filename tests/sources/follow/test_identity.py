"""Who a file is: an inode number is used again, and files begin alike. A position never hides a record."""

import gzip
import os
import shutil
from pathlib import Path

import pytest

from tests.sources.follow.followed import Followed, append, record, records

HEAD = records("head", size=5000)
"""A first line that is longer than what is compared of a beginning."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def recreate(path: Path, content: bytes) -> None:
    """Delete a file, and create another one that gets the same inode, as ext4 does it."""
    inode = path.stat().st_ino
    path.unlink()
    made = []
    for number in range(200):
        path.write_bytes(content)
        if path.stat().st_ino == inode:
            break
        made.append(path.rename(path.with_name(f".other-{number}")))
    for other in made:
        other.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("content", [records("c", "d", "e"), records("c"), HEAD], ids=["longer", "shorter", "large"])
@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_all_of_a_file_is_read_that_gets_the_inode_of_a_deleted_one(
    log: Path, content: bytes, is_running: bool
) -> None:
    log.write_bytes(records("a", "b"))
    followed = Followed(log)
    assert followed.read() == ["a", "b"]
    if not is_running:
        followed = Followed(log, known=followed.close())
    recreate(log, content)
    expected = [key for key in ("c", "d", "e", "head") if b'"%s"' % key.encode() in content]
    assert followed.read() == expected


@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_all_of_a_file_is_read_that_gets_the_inode_of_one_that_was_closed(log: Path, is_running: bool) -> None:
    log.write_bytes(HEAD + records("a"))
    followed = Followed(log)
    followed.read()
    followed.read_for(70)
    assert len(followed.handles) == 0
    if not is_running:
        followed = Followed(log, known=followed.close())
    recreate(log, HEAD + records("b"))
    assert followed.read_for(30) == ["head", "b"]


@pytest.mark.parametrize("others", [("b",), ("b", "c", "d", "e")], ids=["shorter", "longer"])
@pytest.mark.parametrize("is_running", [True, False], ids=["running", "stopped"])
def test_a_file_with_the_same_beginning_is_another_file(
    tmp_path: Path, others: tuple[str, ...], is_running: bool
) -> None:
    (tmp_path / "a.jsonl").write_bytes(HEAD + records("a1", "a2", "a3"))
    followed = Followed(tmp_path)
    assert followed.read() == ["head", "a1", "a2", "a3"]
    if not is_running:
        followed = Followed(tmp_path, known=followed.close())
    (tmp_path / "a.jsonl").unlink()
    (tmp_path / "b.jsonl").write_bytes(HEAD + records(*others))
    assert followed.read_for(5) == ["head", *others]


def test_files_that_begin_and_end_alike_and_have_one_size_are_read_to_the_last_record(tmp_path: Path) -> None:
    end = records("end", size=5000)
    for number in range(10, 20):
        (tmp_path / f"{number}.jsonl").write_bytes(HEAD + records(number) + end)
    followed = Followed(tmp_path)
    found = followed.read_for(5)
    assert set(found) == {"head", "end", *map(str, range(10, 20))}


def test_a_thousand_small_files_are_read_at_one_look_and_empty_ones_are_no_problem(tmp_path: Path) -> None:
    for number in range(1000):
        content = b"" if number < 10 else records("same") if number < 20 else record(number, size=60)
        (tmp_path / f"{number}.jsonl").write_bytes(content)
    followed = Followed(tmp_path)
    found = followed.read()
    assert sorted(set(found)) == sorted(["same", *(str(number) for number in range(20, 1000))])
    assert len(found) <= 990
    append(tmp_path / "3.jsonl", records("no longer empty"))
    assert followed.read() == ["no longer empty"]


def test_a_file_that_was_truncated_and_grew_beyond_the_old_place_is_read_from_its_start(log: Path) -> None:
    log.write_bytes(HEAD + records("a", "b"))
    followed = Followed(log)
    followed.read()
    with log.open("r+b") as file:
        file.truncate(0)
        file.write(HEAD + records("c", "d", "e", "f"))
    assert followed.read() == ["head", "c", "d", "e", "f"]
    assert followed.again == [False, True]
    assert followed.said == [f"{log}: has other content than before: it is read from its start"]


def test_a_file_that_was_truncated_and_is_shorter_is_read_from_its_start_in_silence(log: Path) -> None:
    log.write_bytes(records("a", "b", "c"))
    followed = Followed(log)
    followed.read()
    with log.open("r+b") as file:
        file.truncate(0)
    assert followed.read() == []
    append(log, records("d"))
    assert followed.read() == ["d"]
    assert followed.said == []


def test_a_file_whose_content_is_replaced_by_as_many_bytes_is_read_from_its_start(log: Path) -> None:
    log.write_bytes(records("a", "b", "c"))
    followed = Followed(log)
    followed.read()
    with log.open("r+b") as file:
        file.write(records("a", "x", "c"))
    assert followed.read() == ["a", "x", "c"]


def test_the_same_file_restored_from_a_copy_is_not_read_again(tmp_path: Path) -> None:
    log, copy = tmp_path / "app.log", tmp_path / "copy"
    log.write_bytes(HEAD + records("a", "b"))
    followed = Followed(log)
    followed.read()
    shutil.copy(log, copy)
    log.unlink()
    followed.read()
    copy.rename(log)
    append(log, records("c"))
    assert followed.read_for(5) == ["c"]


def test_a_copy_is_left_out_only_as_far_as_its_records_are_durable(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(records("a", "b"))
    followed = Followed(tmp_path / "app.log*")
    followed.read()
    followed.acknowledges = False
    append(log, records("c", "d"))
    assert followed.read() == ["c", "d"]
    shutil.copy(log, tmp_path / "app.log.1")
    assert followed.read_for(5) == ["c", "d"]


def test_a_file_that_is_not_changed_is_not_opened_by_the_next_execution(log: Path) -> None:
    log.write_bytes(records("a", "b"))
    followed = Followed(log)
    followed.read()
    again = Followed(log, known=followed.close())
    assert again.read_for(40) == []
    assert len(again.handles) == 0
    append(log, records("c"))
    assert again.read() == ["c"]
    assert [it.source for it in again.chunks] == followed.sources


def test_a_large_file_is_recognized_by_its_beginning_and_its_last_bytes(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.sources.follow.consumed.WHOLE", 1000)
    log.write_bytes(HEAD + records("a", "b"))
    followed = Followed(log)
    followed.read()
    known = followed.close()
    append(log, records("c"))
    assert Followed(log, known=known).read() == ["c"]
    log.write_bytes(records("other", size=5000) + records("a", "b", "c"))
    assert Followed(log, known=known).read() == ["other", "a", "b", "c"]


def test_a_compressed_copy_of_a_plain_file_is_left_out_and_the_rest_of_it_is_read(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(HEAD + records("a", "b"))
    followed = Followed(tmp_path / "app.log*")
    followed.read()
    with gzip.open(tmp_path / "app.log.1.gz", "wb") as file:
        file.write(log.read_bytes() + records("written after the last look"))
    log.unlink()
    assert followed.read_for(5) == ["written after the last look"]


def test_a_plain_copy_of_a_compressed_file_is_left_out(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.jsonl.gz", "wb") as file:
        file.write(records("a", "b"))
    followed = Followed(tmp_path)
    assert followed.read_for(4) == ["a", "b"]
    (tmp_path / "a.jsonl").write_bytes(records("a", "b", "c"))
    assert followed.read_for(4) == ["c"]


def test_a_hard_link_is_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(records("a"))
    os.link(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    followed = Followed(tmp_path)
    assert followed.read() == ["a"]
    append(tmp_path / "b.jsonl", records("b"))
    (tmp_path / "a.jsonl").unlink()
    assert followed.read_for(2) == ["b"]


def test_a_change_far_before_the_end_of_a_file_that_did_not_grow_is_noticed(log: Path) -> None:
    log.write_bytes(records("a") + records("filler", size=20_000))
    followed = Followed(log)
    followed.read()
    with log.open("r+b") as file:
        file.write(records("x"))
    assert followed.read() == ["x", "filler"]
