"""The script that completes commands in zsh, in a real zsh (`sh .ci/require zsh` installs it)."""

import subprocess
from pathlib import Path

from ingestor.cli.completion import script_for
from ingestor.cli.pages import COMMANDS

COMPLETE = """
fpath=("$1" $fpath)
autoload -Uz compinit && compinit -u -d "$1/dump"
whence -w _shtab_ingestor
print -l -- ${(k)_comps} | grep -x ingestor
"""


def test_zsh_finds_the_script_in_its_path_and_runs_it_for_the_command(tmp_path: Path) -> None:
    script = script_for("zsh")
    (tmp_path / "_ingestor").write_text(script)
    command = ["zsh", "-f", "-c", COMPLETE, "zsh", str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "ingestor" in done.stdout.splitlines(), done.stderr
    checked = subprocess.run(["zsh", "-n"], check=False, input=script, capture_output=True, text=True, timeout=30)
    assert (checked.returncode, checked.stderr) == (0, "")
    assert all(f"\n    {name}:" in script for name in COMMANDS)
