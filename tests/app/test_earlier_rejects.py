"""The files of rejected records: all of the batch's runs, oldest first, read line by line."""

import json
import tracemalloc
from pathlib import Path

import pytest

from ingestor.app.earlier_rejects import EarlierRejects
from ingestor.journal.forgotten import ForgottenReject
from ingestor.model.errors import UsageError
from ingestor.policy.identity import reject_digest


def line(record: str, source: str = "runs.jsonl", **members: object) -> str:
    return json.dumps({"source": source, "line": 1, "reason": "why", "record": record, **members}) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rejects.jsonl"


def test_the_file_of_the_last_run_and_those_that_were_renamed_are_read_oldest_first(path: Path) -> None:
    names = ["rejects-20260101T000000Z.jsonl", "rejects-20260101T000000Z-2.jsonl", "rejects-20260102T000000Z.jsonl"]
    others = ["rejects-mine.jsonl", "other-20260101T000000Z.jsonl", "rejects-20260101T000000Z.txt", "rejects.jsonl.1"]
    for name in [*others, *names, path.name]:
        path.with_name(name).write_text(line(name))
    rejects = EarlierRejects(path)
    assert {it.name for it in rejects.files[:2]} == set(names[:2])
    assert [it.name for it in rejects.files[2:]] == [names[2], path.name]
    assert {it.digest for it in rejects} == {reject_digest(name) for name in [*names, path.name]}


def test_each_line_says_what_is_known_of_its_record(path: Path) -> None:
    records = ['{"job_id": "a", "x": 1}', '{"job_id": 7}', "{", "[1]", '{"job_id": "\\ud800"}']
    whole = line("a,b", "t.csv", other_format=True) + line("", "t.zst", other_format=True)
    path.write_text("".join(map(line, records)) + whole + line("{", damaged=True) + '{"source": "unfin')
    rejects = EarlierRejects(path)
    keys = ["a", None, None, None, None]
    assert list(rejects) == [
        *(ForgottenReject("runs.jsonl", reject_digest(text), key) for text, key in zip(records, keys, strict=True)),
        ForgottenReject("t.csv", reject_digest("a,b", "t.csv"), is_whole_source=True),
        ForgottenReject("t.zst", reject_digest("", "t.zst"), is_whole_source=True),
    ]
    assert rejects.damaged == 1


def test_a_line_of_something_else_is_refused_with_its_place(path: Path) -> None:
    path.write_text(line("{") + '{"event": "batch.started"}\n')
    with pytest.raises(UsageError, match=r"rejects\.jsonl, line 2: this is no rejected record"):
        list(EarlierRejects(path))


def test_a_large_file_is_not_read_into_memory(path: Path) -> None:
    with path.open("w") as file:
        for number in range(20_000):
            file.write(line(f"{number}" + "x" * 500))
    tracemalloc.start()
    try:
        count = sum(1 for _ in EarlierRejects(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < path.stat().st_size / 10
