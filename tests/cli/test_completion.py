"""The scripts that complete commands in a shell, in a real shell."""

import subprocess
from pathlib import Path

import pytest

from ingestor.cli.commands import parser_of
from ingestor.cli.completion import SHELLS, completion, script_for
from ingestor.cli.pages import COMMANDS
from ingestor.model.errors import UsageError
from ingestor.model.record import State

COMPLETE = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
complete_with=$(complete -p ingestor | sed 's/.*-F \\([^ ]*\\).*/\\1/')
$complete_with ingestor "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "ingestor.bash"
    path.write_text(script_for("bash"))
    return path


def completed(script: Path, *words: str, folder: Path = Path()) -> set[str]:
    """Return what bash offers for the last word."""
    shell = ["bash", "--norc", "-c", COMPLETE, "bash", str(script.absolute()), "ingestor", *words]
    done = subprocess.run(shell, check=True, capture_output=True, text=True, cwd=folder, timeout=30)
    assert not done.stderr, done.stderr
    return set(done.stdout.split())


def test_every_command_is_completed(script: Path) -> None:
    assert completed(script, "") == set(COMMANDS)
    assert completed(script, "rec") == {"reconcile"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_that_help_shows_of_a_command_is_completed(script: Path, name: str) -> None:
    shown = {
        flag
        for action in parser_of(COMMANDS[name])._actions
        for flag in action.option_strings
        if action.help != "==SUPPRESS=="
    }
    assert completed(script, name, "--") == {flag for flag in shown if flag.startswith("--")}


def test_the_values_of_an_option_are_completed_files_and_directories_too(script: Path, tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").touch()
    (tmp_path / "state").mkdir()
    assert completed(script, "run", "--progress", "") == {"auto", "on", "off"}
    assert completed(script, "results", "--outcome", "") == set(State)
    assert completed(script, "run", "--state", "", folder=tmp_path) == {"state"}
    assert completed(script, "run", "ru", folder=tmp_path) == {"runs.jsonl"}
    assert completed(script, "run", "--config", "r", folder=tmp_path) == {"runs.jsonl"}
    for command, option in (("run", "--metrics-file"), ("run", "--ca-file"), ("run", "--log"), ("report", "--to")):
        assert completed(script, command, option, "r", folder=tmp_path) == {"runs.jsonl"}, option
    assert completed(script, "run", "--budget-exit", "") == {"0", "75"}
    assert "delete" in completed(script, "run", "--on-done", "")
    assert completed(script, "completion", "") == set(SHELLS)


@pytest.mark.parametrize("words", [[], ["fish"], ["bash", "zsh"]])
def test_another_shell_is_refused_with_those_that_there_are(words: list[str]) -> None:
    with pytest.raises(UsageError, match="name a shell: ingestor completion bash or ingestor completion zsh"):
        completion(words)
