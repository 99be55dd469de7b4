import json
from pathlib import Path

import pytest

from tests.bench.process import Ended
from tests.bench.program import Event, read_log

ENDED = Ended(began=0.0, seconds=9.0, cpu=1.0, peak=1, output="")


def created(second: float, latency_ms: float) -> Event:
    return {"event": "run.created", "timestamp": at(second), "latency_ms": latency_ms}


def at(second: float) -> str:
    return f"1970-01-01T00:00:{second:09.6f}Z"


def written(path: Path, *events: Event) -> Path:
    started = {"event": "batch.started", "timestamp": at(1)}
    finished = {"event": "batch.finished", "timestamp": at(40)}
    path.write_text("".join(f"{json.dumps(event)}\n" for event in (started, *events, finished)))
    return path


def test_the_first_request_is_the_one_sent_first_not_the_one_logged_first(tmp_path: Path) -> None:
    log = written(tmp_path / "log", created(3, 500), created(4, 2_000), created(30, 10))

    execution = read_log(log, ENDED)

    assert (execution.first_request, execution.requesting, execution.working) == (2.0, 28.0, 39.0)


def test_a_long_log_is_read_at_its_two_ends(tmp_path: Path) -> None:
    log = written(tmp_path / "log", *(created(2 + number / 1000, 1) for number in range(20_000)))

    execution = read_log(log, ENDED)

    assert execution.first_request == pytest.approx(1.999)
    assert execution.requesting == pytest.approx(20.0)


def test_where_nothing_was_sent_there_is_no_first_request(tmp_path: Path) -> None:
    execution = read_log(written(tmp_path / "log", {"event": "run.duplicate", "timestamp": at(2)}), ENDED)
    assert (execution.first_request, execution.requesting, execution.working) == (0.0, 0.0, 39.0)
