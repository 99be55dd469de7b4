"""The benchmarks run: each part once, with as little work as it can do."""

from pathlib import Path

import pytest

from tests.bench.program import Program
from tests.bench.record_path import path_of_a_record, simulator
from tests.bench.scaling import measure
from tests.bench.sink import sink
from tests.bench.speed import main


def test_clients_are_compared_over_nginx(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["contest", "--rounds", "1", "--records", "40", "--only", "none", "--only", "bare", "--only", "official"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "ingestor, no sender (one process)" in printed
    assert "aidp-python-client" in printed
    assert "Measured on" in printed


def test_a_record_is_measured_when_its_run_is_created_and_when_it_is_done_already(tmp_path: Path) -> None:
    with sink(tmp_path / "nginx") as url:
        size = measure(Program(url, tmp_path, ("--auth", "none", "--senders", "0")), tmp_path, 50, (0.0, 0.0))
    assert size.row[0] == "50"
    assert all(float(cell.replace(",", "")) > 0 for cell in size.row[1:])


def test_the_way_of_a_record_leads_from_its_line_to_the_log(tmp_path: Path) -> None:
    with simulator() as url:
        path = path_of_a_record(url, tmp_path, 20, 320)
    packages = {file.split("/")[0] for file in path.files}
    assert {"sources", "policy", "pipeline", "journal", "api", "report"} <= packages
    assert "cli" not in packages
