"""What a session reports of its files: to the log, and to the metrics from which the summary is made."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingestor.app.options import BatchOptions
from ingestor.app.reading import from_the_start
from ingestor.app.session import Session
from ingestor.app.target import Target, aidp
from ingestor.model.events import BatchFinished
from ingestor.sources.locate import locate
from ingestor.testing import PLATFORM_ID, WORKSPACE_KEY, Simulator


@pytest.fixture
async def target() -> AsyncIterator[Target]:
    async with Simulator() as simulator:
        yield aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY, auth="none")


@pytest.fixture
def options(tmp_path: Path) -> BatchOptions:
    return BatchOptions(state=tmp_path / "state", senders=0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    runs = tmp_path / "runs"
    runs.mkdir()
    for name in ("a", "b"):
        lines = [json.dumps({"job_id": f"{name}{number}"}) for number in range(20)]
        (runs / f"{name}.jsonl").write_text("\n".join([*lines, ""]))
    (runs / "notes.txt").write_text("hello")
    return runs


async def night(target: Target, options: BatchOptions, *names: Path) -> tuple[BatchFinished, list[dict[str, Any]]]:
    """Read all files, and return the end and the lines that this execution added to the log."""
    sources, log = [str(name) for name in names], options.log_path
    before = len(log.read_bytes()) if log.exists() else 0
    reading = from_the_start(locate(sources))
    finished = await Session(target, options).ingest(reading, sources)
    return finished, [json.loads(line) for line in log.read_bytes()[before:].splitlines()]


async def test_the_log_has_the_files_that_were_read_with_counts_and_those_that_were_skipped(
    target: Target, options: BatchOptions, folder: Path
) -> None:
    with (folder / "b.jsonl").open("a") as file:
        file.write("{}\nnot json\n")
    _, (start, *_, end) = await night(target, options, folder)
    assert start["skipped"] == {"count": 1, "examples": [str(folder / "notes.txt")]}
    counts = [(it["source"], it["records"], it["rejected"], it["complete"], it["damaged"]) for it in end["sources"]]
    assert counts == [
        (str(folder / "a.jsonl"), 20, 0, True, False),
        (str(folder / "b.jsonl"), 22, 2, True, False),
    ]


async def test_a_second_night_over_finished_records_logs_one_count_and_no_line_for_each(
    target: Target, options: BatchOptions, folder: Path
) -> None:
    await night(target, options, folder)
    finished, lines = await night(target, options, folder)
    assert [line["event"] for line in lines] == ["batch.started", "batch.finished"]
    assert (finished.already_done, lines[-1]["already_done"]) == (40, 40)


async def test_finished_records_that_are_twice_in_the_input_of_a_later_night_have_no_lines_either(
    target: Target, options: BatchOptions, folder: Path
) -> None:
    await night(target, options, folder)
    (folder / "c.jsonl").write_bytes((folder / "a.jsonl").read_bytes())
    finished, lines = await night(target, options, folder)
    assert [line["event"] for line in lines] == ["batch.started", "batch.finished"]
    assert (finished.already_done, finished.counts["duplicate"]) == (60, 0)
