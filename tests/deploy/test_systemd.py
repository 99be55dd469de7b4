"""The units are valid and hardened, and the program accepts their arguments."""

import shlex
import subprocess
from pathlib import Path

import pytest

from tests.deploy.places import DEPLOY, check_arguments

SERVICES = sorted((DEPLOY / "systemd").glob("*.service"))
TIMERS = sorted((DEPLOY / "systemd").glob("*.timer"))
PROGRAM = "/opt/ingestor/bin/ingestor"


def analyze(*arguments: object) -> str:
    command = ["systemd-analyze", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    return "" if result.returncode == 0 else result.stdout + result.stderr


@pytest.mark.parametrize("unit", [*SERVICES, *TIMERS], ids=lambda it: it.name)
def test_a_unit_is_valid(unit: Path, tmp_path: Path) -> None:
    for it in (*SERVICES, *TIMERS):  # where the program is not installed, another one stands in
        (tmp_path / it.name).write_text(it.read_text().replace(PROGRAM, "/bin/true"))
    assert analyze("verify", "--man=no", tmp_path / unit.name) == ""


@pytest.mark.parametrize("unit", SERVICES, ids=lambda it: it.name)
def test_a_service_is_exposed_as_little_as_it_can_be(unit: Path) -> None:
    assert analyze("security", "--offline=yes", "--threshold=20", unit) == ""


@pytest.mark.parametrize("unit", SERVICES, ids=lambda it: it.name)
def test_a_service_counts_75_as_a_success(unit: Path) -> None:
    assert "SuccessExitStatus=75\n" in unit.read_text()


def test_the_follower_is_not_restarted_where_a_person_is_needed() -> None:
    (unit,) = [it for it in SERVICES if "follow" in it.name]
    assert "Restart=always\n" in unit.read_text()
    assert "RestartPreventExitStatus=2 3 4\n" in unit.read_text()


@pytest.mark.parametrize("unit", SERVICES, ids=lambda it: it.name)
def test_the_program_accepts_the_arguments_of_a_service(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text().replace("\\\n", " ")
    (line,) = [it.removeprefix("ExecStart=") for it in text.splitlines() if it.startswith("ExecStart=")]
    program, command, *arguments = shlex.split(line)
    assert (program, command) == (PROGRAM, "run")
    at = arguments.index("--config")
    del arguments[at : at + 2]
    assert check_arguments(arguments, tmp_path) == ""
