"""Ctrl-C ends a command that only reads without a traceback, also before it has begun."""

import subprocess
import sys

import pytest

_INTERRUPTED = """
import os, signal, sys
import ingestor.app.standard_streams as streams

begin = streams.open_closed_streams

def interrupted():
    os.kill(os.getpid(), signal.{name})
    begin()

streams.open_closed_streams = interrupted
from ingestor.cli.main import main
sys.argv = ["ingestor", "config"]
main()
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_before_the_command_begins_is_the_end_with_75(name: str) -> None:
    command = [sys.executable, "-c", _INTERRUPTED.format(name=name)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (75, "", "")
