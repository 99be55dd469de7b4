import json
from pathlib import Path

from ingestor.model.record import Job, Line, Origin
from ingestor.policy.identity import Scope, stamped_body
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from ingestor.sources.parse import parse_record
from tests.bench import records


def test_all_clients_send_the_bodies_that_the_program_sends(tmp_path: Path) -> None:
    file = records.write(tmp_path / "records.jsonl", 50)
    scope = Scope(PLATFORM_ID, WORKSPACE_KEY, "default")
    lines = file.read_bytes().splitlines()

    jobs = [parse_record(Line(Origin("records.jsonl", 1), line), scope) for line in lines]

    expected = [(stamped_body(job.body, job.token), job.token) for job in jobs if isinstance(job, Job)]
    assert [(request.body, request.token) for request in records.sent_requests(file, 50)] == expected
    assert len(expected) == len(set(expected)) == 50


def test_records_are_like_real_ones_and_always_the_same(tmp_path: Path) -> None:
    file, again = (records.write(tmp_path / name, 200) for name in ("one", "two"))
    lines = file.read_text(encoding="utf-8").splitlines()
    assert file.read_bytes() == again.read_bytes()
    assert {len(json.loads(line)["tags"]) for line in lines} == {10}
    assert 600 < sum(map(len, lines)) / len(lines) < 1000  # real ones: 900 on average, half of them under 650
