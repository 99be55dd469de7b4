"""Limits of the machine that a run would meet."""

import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from ingestor.app.doctor.finding import Finding, Grade
from ingestor.app.doctor.limits import limits, of_files, of_memory
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.machine import memory

MIB = 1024**2


@pytest.mark.parametrize(
    ("hard", "grades"),
    [(resource.RLIM_INFINITY, []), (1049, []), (500, [Grade.WARNING]), (25, [Grade.PROBLEM]), (10, [Grade.PROBLEM])],
)
def test_a_limit_of_open_files_is_named_with_what_is_needed(hard: int, grades: Sequence[Grade]) -> None:
    found = list(of_files(hard, others=25, slots=1024))
    assert [it.grade for it in found] == grades
    assert all("ulimit -n to 1,049" in it.advice for it in found)


@pytest.mark.parametrize(("size", "count"), [(None, 0), (1024 * MIB, 0), (100 * MIB, 1)])
def test_little_memory_is_a_warning(size: int | None, count: int) -> None:
    assert len(list(of_memory(size))) == count


def test_this_machine_is_described_in_one_line() -> None:
    found: Sequence[Finding] = limits(Subject(), Facts())
    assert "core" in found[0].what or found[0].grade is not Grade.OK


def test_memory_is_the_least_of_the_containers_limit_and_what_the_machine_has(tmp_path: Path) -> None:
    (tmp_path / "info").write_text(f"MemTotal: 9999999 kB\nMemAvailable: {512 * 1024} kB\n")
    (tmp_path / "none").write_text("max\n")
    (tmp_path / "limit").write_text(f"{256 * MIB}\n")
    info = tmp_path / "info"
    assert memory([tmp_path / "limit"], info) == 256 * MIB
    assert memory([tmp_path / "none", tmp_path / "missing"], info) == 512 * MIB
    assert memory([tmp_path / "none"], tmp_path / "missing") is None
