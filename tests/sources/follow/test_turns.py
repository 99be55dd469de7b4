"""Whose turn it is, what stays open meanwhile, and what is said of it."""

from pathlib import Path

from ingestor.model.lag import FileState
from ingestor.sources.follow.plain import TURN
from ingestor.sources.follow.tailing import MOST_HELD
from tests.sources.follow.followed import Followed, append, name_of, record, records


def test_small_files_have_their_turn_while_a_large_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "large.jsonl").write_bytes(records(*range(10_000), size=500))
    followed = Followed(tmp_path)
    followed.look()
    followed.turn()
    for number in range(50):
        (tmp_path / f"small-{number}.jsonl").write_bytes(record(f"small-{number}"))
    followed.look()
    for _ in range(52):
        followed.turn()
    found = [name_of(it) for chunk in followed.chunks for it in chunk.records]
    assert {f"small-{number}" for number in range(50)} <= set(found)
    assert len(found) < 50 + 3 * TURN / 500


def test_a_turn_is_bounded_by_bytes_also_for_a_long_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(records("long", size=10 * TURN))
    (tmp_path / "b.jsonl").write_bytes(records(*range(100)))
    followed = Followed(tmp_path)
    followed.look()
    for _ in range(4):
        followed.turn()
    assert sum(len(chunk.records) for chunk in followed.chunks) == 100


def test_files_that_are_rotated_away_while_nothing_is_read_are_read_later(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    followed = Followed(log)
    for number in range(4):
        append(log, record(number))
        followed.look()
        log.unlink()
    lag = followed.tailing.lag()
    followed.look()
    lag = followed.tailing.lag()
    assert (lag.held_files, lag.held_bytes) == (4, 4 * len(record(0)))
    assert lag.unread_bytes == 4 * len(record(0))
    assert followed.read() == ["0", "1", "2", "3"]
    assert followed.said == []


def test_the_number_of_deleted_files_that_are_held_open_is_bounded_and_what_is_given_up_is_said(tmp_path: Path) -> None:
    followed = Followed(tmp_path)
    count = MOST_HELD + 5
    for number in range(count):
        append(tmp_path / f"{number:03}.jsonl", record(f"{number:03}"))
    followed.look()
    for number in range(count):
        (tmp_path / f"{number:03}.jsonl").unlink()
    followed.look()
    assert followed.tailing.lag().held_files == MOST_HELD
    assert len(followed.said) == 5
    assert all("bytes of it were not read" in it for it in followed.said)
    assert len(followed.read()) == MOST_HELD


def test_no_more_files_are_open_than_allowed(tmp_path: Path) -> None:
    followed = Followed(tmp_path, handles=10)
    for number in range(100):
        (tmp_path / f"{number}.jsonl").write_bytes(record(number))
    followed.look()
    seen = 0
    while followed.tailing.has_work:
        followed.turn()
        seen = max(seen, len(followed.handles))
    assert seen == 10
    for number in range(100):
        append(tmp_path / f"{number}.jsonl", record(f"again-{number}"))
    assert len(followed.read()) == 100
    assert len(followed.handles) == 10
    followed.read_for(70)
    assert len(followed.handles) == 0


def test_the_lag_names_the_files_with_the_most_unread_bytes(tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"{number:03}.jsonl").write_bytes(records(*range(number + 1)))
    followed = Followed(tmp_path)
    followed.look()
    lag = followed.tailing.lag()
    assert [Path(it.name).name for it in lag.files[:2]] == ["149.jsonl", "148.jsonl"]
    assert (len(lag.files), lag.other_files) == (100, 50)
    assert lag.files[0].state is FileState.READING
    assert lag.unread_bytes == sum(it.stat().st_size for it in tmp_path.iterdir())
    assert lag.waiting_since is not None
    followed.read()
    lag = followed.tailing.lag()
    assert (lag.unread_bytes, lag.waiting_since) == (0, None)
    assert {it.state for it in lag.files} == {FileState.WAITING}


def test_a_program_that_writes_on_does_not_delay_the_end(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(records(*range(1000), size=500))
    followed = Followed(log)
    followed.tailing.finish(followed.moment)
    for number in range(1000):
        append(log, records(*(f"{number}-{it}" for it in range(200)), size=500))
        if not followed.tailing.has_work:
            break
        followed.turn()
    assert not followed.tailing.has_work
    found = [name_of(it) for chunk in followed.chunks for it in chunk.records]
    assert found[:1000] == [str(number) for number in range(1000)]


def test_an_end_that_leaves_a_deleted_file_unread_says_so(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(records("a"))
    followed = Followed(tmp_path / "app.log")
    assert followed.read() == ["a"]
    append(log, records("b"))
    followed.look()
    log.unlink()
    followed.look()
    followed.close()
    assert followed.said == [f"{log}: is gone, and {len(records('b'))} bytes of it were not read"]
