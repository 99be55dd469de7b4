"""Lines that are not complete yet, have no end, are too long, or are changed while they are read."""

import tracemalloc
from pathlib import Path

import pytest

from ingestor.model.record import Reject
from ingestor.model.sources import Checkpoint
from tests.sources.follow.followed import Followed, append, record, records


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def test_a_record_that_is_written_in_pieces_over_a_minute_is_one_record(log: Path) -> None:
    line = record("slow", size=1_000_000)
    followed = Followed(log)
    for start in range(0, len(line), 250_000):
        append(log, line[start : start + 250_000])
        expected = ["slow"] if start + 250_000 >= len(line) else []
        assert followed.read_for(20) == expected


def test_the_first_half_of_a_line_is_not_a_record_however_long_it_stays(log: Path) -> None:
    followed = Followed(log)
    append(log, records("a") + record("b")[:-10])
    assert followed.read_for(60) == ["a"]
    append(log, record("b")[-10:])
    assert followed.read() == ["b"]


def test_a_last_line_without_an_end_is_read_once_nothing_is_written_any_more(log: Path) -> None:
    followed = Followed(log)
    append(log, record("a")[:-1])
    assert followed.read_for(4) == []
    assert followed.read_for(4) == ["a"]
    append(log, b"\n" + records("b"))
    assert followed.read() == ["b"]
    assert [it.origin.line for chunk in followed.chunks for it in chunk.records] == [1, 2]


def test_the_last_line_of_a_file_that_is_gone_is_read_or_rejected_once(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "*.log")
    append(tmp_path / "a.log", record("whole")[:-1])
    append(tmp_path / "b.log", b'{"job_id":"hal')
    assert followed.read() == []
    (tmp_path / "a.log").unlink()
    (tmp_path / "b.log").unlink()
    found = followed.read_for(40)
    assert found[0] == "whole"
    assert len(found) == 2
    assert found[1].startswith("1: not JSON")


def test_the_last_line_of_a_file_that_stays_half_is_rejected_once_after_ten_minutes_and_read_when_it_is_whole(
    log: Path,
) -> None:
    append(log, b'{"job_id":"hal')
    followed = Followed(log)
    assert followed.read_for(590) == []
    assert len(followed.read_for(30)) == 1
    assert followed.read_for(700) == []
    append(log, b'f"}\n')
    assert followed.read_for(30) == ["half"]


def test_at_the_end_a_last_line_is_read_or_rejected(tmp_path: Path) -> None:
    followed = Followed(tmp_path / "*.log")
    append(tmp_path / "a.log", records("a") + record("b")[:-1])
    append(tmp_path / "b.log", b'{"job_id"')
    assert followed.read() == ["a"]
    assert sorted(it.split(":")[0] for it in followed.finish()) == ["1", "b"]
    again = Followed(tmp_path / "*.log", known=list(followed.rows.values()))
    append(tmp_path / "b.log", b':"c"}\n')
    assert again.read_for(3) == ["c"]


def test_a_line_of_two_hundred_megabytes_is_one_reject_in_little_memory_and_the_next_line_follows(log: Path) -> None:
    with log.open("wb") as file:
        file.write(records("before") + b'{"job_id":"')
        for _ in range(200):
            file.write(b"x" * 1_000_000)
        file.write(b'"}\n' + records("after"))
    followed = Followed(log)
    tracemalloc.start()
    try:
        found = followed.read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found[0] == "before"
    assert found[1].startswith("2: the line has 200,000,013 bytes, more than 16,777,216")
    assert found[2:] == ["after"]
    assert peak < 120_000_000
    (reject,) = [it for chunk in followed.chunks for it in chunk.records if isinstance(it, Reject)]
    assert len(reject.text) <= 16_777_216


def test_blank_lines_and_windows_line_ends_are_no_records(log: Path) -> None:
    append(log, b"\n\r\n  \n" + record("a").replace(b"\n", b"\r\n") + b"\n")
    followed = Followed(log)
    assert followed.read() == ["a"]
    assert [it.origin.line for chunk in followed.chunks for it in chunk.records] == [4]


def test_every_position_continues_exactly_after_its_records(log: Path) -> None:
    keys = [str(number) for number in range(3000)]
    log.write_bytes(records(*keys, size=120))
    followed = Followed(log)
    assert followed.read() == keys
    seen = 0
    for chunk in followed.chunks:
        seen += len(chunk.records)
        assert chunk.source is not None
        rest = Followed(log, known=[Checkpoint(chunk.source, chunk.position)])
        assert rest.read() == keys[seen:]
