"""`ingestor completion`: the script that completes commands and options in a shell."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any, cast

import shtab
from pydantic import BaseModel

from ingestor.cli.command import Command
from ingestor.cli.commands import own_options, parser_of
from ingestor.cli.flags import choices_of
from ingestor.cli.pages import COMMANDS
from ingestor.model.errors import ExitCode, UsageError
from ingestor.settings.options import Settings

SHELLS = ("bash", "zsh")
"""The shells that a script can be printed for."""

_WORDS = {"budget_exit": ("0", "75"), "on_done": ("keep", "delete", "move:")}  # of options that take other texts too


def completion(arguments: Sequence[str]) -> int:
    """Print the script for a shell. Raises UsageError."""
    if len(arguments) != 1 or arguments[0] not in SHELLS:
        raise UsageError(f"name a shell: {' or '.join(f'ingestor completion {shell}' for shell in SHELLS)}")
    sys.stdout.write(f"{script_for(arguments[0])}\n")
    return ExitCode.OK


def script_for(shell: str) -> str:
    """Return the script for a shell."""
    root = argparse.ArgumentParser("ingestor", add_help=False)
    root.add_argument("--help", "-h", action="help", help="Show the commands.")
    root.add_argument("--version", action="version", help="Show the version.")
    commands = root.add_subparsers(parser_class=cast("type[argparse.ArgumentParser]", _completed))
    for command in COMMANDS.values():
        commands.add_parser(command.name, help=command.purpose, command=command)
    return shtab.complete(root, shell)


def _completed(command: Command, **_: object) -> argparse.ArgumentParser:
    """Return the parser of a command with what completes its arguments and the values of its options."""
    parser = parser_of(command)
    fields = _fields(Settings) | _fields(own_options(command.name))
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to look at the options of a parser
        if action.dest == "arguments" and command.name == "completion":
            action.help, action.choices = command.arguments, SHELLS
        elif action.dest == "arguments":
            action.help, action.complete = command.arguments, shtab.FILE  # type: ignore[attr-defined]
        elif action.dest == "config":
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif (field := fields.get(action.dest)) is not None:
            if names := choices_of(field) or _WORDS.get(action.dest):
                action.choices = names
            elif action.metavar in {"FILE", "DIR"}:
                action.complete = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE  # type: ignore[attr-defined]
    return parser


def _fields(model: type[BaseModel] | None) -> dict[str, Any]:
    return {} if model is None else dict(model.model_fields)
