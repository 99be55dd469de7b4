"""`ingestor check`: what it prints about files, records, and what it does not read."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from ingestor.app.check import MOST_EXPERIMENTS, Checked, check
from ingestor.app.options import BatchOptions
from ingestor.model.errors import ExitCode
from ingestor.model.events import InputRead
from ingestor.model.sources import Chunk, Source
from ingestor.report.progress import Mode, describe
from tests.support.memory import MemoryInput
from tests.support.records import job


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with 20 valid and 1 invalid record, 5 valid compressed ones, and two other files."""
    runs = tmp_path / "runs"
    runs.mkdir()
    lines = [json.dumps({"job_id": f"a{number}", "experiment_id": str(number % 2)}) for number in range(20)]
    (runs / "a.jsonl").write_text("\n".join([*lines, '{"tags": 3}', ""]))
    (runs / "b.jsonl.gz").write_bytes(gzip.compress(b"".join(b'{"run_name": "b%d"}\n' % it for it in range(5))))
    (runs / "notes.txt").write_text("hello")
    (runs / "table.csv").write_text("a,b")
    return runs


def checked(folder: Path, *sources: Path, as_json: bool = False, progress: Mode = Mode.AUTO) -> ExitCode:
    return check(BatchOptions(state=folder / "state"), [str(it) for it in sources], as_json=as_json, progress=progress)


def test_the_text_lists_each_file_with_its_records_and_those_that_are_rejected(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(folder.parent, folder) is ExitCode.INCOMPLETE
    reject, *rest = capsys.readouterr().out.splitlines()
    assert reject.startswith(f"{folder}/a.jsonl:21: tags: ")
    assert rest[:3] == [
        "Records read",
        f"           21  {folder}/a.jsonl, 1 rejected",
        f"            5  {folder}/b.jsonl.gz",
    ]
    assert rest[-1] == "26 records: 25 valid, 1 rejected"


def test_the_text_says_which_files_it_skipped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(folder.parent, folder)
    text = capsys.readouterr().out
    assert "\n  2 files, for example " in text
    assert f"{folder}/notes.txt" in text


def test_the_json_has_every_file_and_what_was_skipped(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checked(folder.parent, folder, as_json=True)
    *_, last = capsys.readouterr().out.splitlines()
    end: dict[str, Any] = json.loads(last)
    ends = {"complete": True, "damaged": False, "other_format": False}
    assert end["sources"] == [
        {"source": f"{folder}/a.jsonl", "records": 21, "rejected": 1, **ends},
        {"source": f"{folder}/b.jsonl.gz", "records": 5, "rejected": 0, **ends},
    ]
    assert (end["event"], end["records"], end["rejected"], end["other_sources"]) == ("check.finished", 26, 1, 0)
    assert end["skipped"]["count"] == 2
    assert set(end["skipped"]["examples"]) == {f"{folder}/notes.txt", f"{folder}/table.csv"}


def test_a_damaged_file_is_named_as_such(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = (folder / "b.jsonl.gz").read_bytes()
    (folder / "b.jsonl.gz").write_bytes(whole[:-12])
    assert checked(folder.parent, folder / "b.jsonl.gz") is ExitCode.INCOMPLETE
    assert "b.jsonl.gz, 1 rejected, damaged: not read to its end\n" in capsys.readouterr().out


def test_valid_files_end_with_0_and_say_nothing_on_standard_error(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert checked(folder.parent, folder / "b.jsonl.gz", progress=Mode.ON) is ExitCode.OK
    assert capsys.readouterr().err == ""


def test_file_names_and_reasons_with_control_characters_are_shown_escaped(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hostile = folder / "a\x1b[2J\u202e\n.jsonl"
    hostile.write_text('{"x\x1b": 1}\n{"\u202ejob": 1}\n', encoding="utf-8")
    checked(folder.parent, hostile)
    text = capsys.readouterr().out
    assert all(line.isprintable() for line in text.split("\n"))
    assert "a\\x1b[2J\\u202e\\n.jsonl" in text


def test_progress_shows_how_far_it_is_and_no_429s() -> None:
    source, found = MemoryInput([], open_end=False), Checked()
    found.metrics.emit(InputRead(0, 0, 1_000))
    source.total_bytes, source.read_bytes = 1_000, 100
    found.take(Chunk(Source("a.jsonl", None), [job(number) for number in range(60)]), source)
    assert describe(found.metrics.snapshot()).startswith("60 of about 600 records, ")
    assert "429s" not in describe(found.metrics.snapshot())


def test_the_experiments_of_the_records_are_counted_in_bounded_memory() -> None:
    source, found = MemoryInput([]), Checked()
    for number in range(MOST_EXPERIMENTS + 10):
        found.take(Chunk(None, [job(number, experiment_id=f"e{number}"), job(number)]), source)
    assert len(found.experiments) == MOST_EXPERIMENTS
