"""The command line: which command, how it ends, and what is said when it can't be done."""

import io
import os
import sys
from collections.abc import Sequence

from ingestor import __version__
from ingestor.model.errors import ExitCode, IngestorError, UsageError
from ingestor.report.text import printable
from ingestor.settings.pages import COMMANDS, front_page

LONGEST_LINE = 1000
"""Characters of a message that are shown."""

INTERRUPTED = 130
"""Exit code after Ctrl-C outside a batch, as shells have it (128 + SIGINT)."""
PIPE_CLOSED = 141
"""Exit code where the reader of standard output went away before the command was done (128 + SIGPIPE)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What a person can mend is told on standard error in plain words."""
    code: int = PIPE_CLOSED
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what it can't show must not end what was done
    try:
        code = _perform(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except IngestorError as error:
        _complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        _abandon_output()
    except OSError as error:
        _complain(f"{error.filename or 'standard output'}: {error.strerror}")
        _abandon_output()
        code = ExitCode.HALTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    return int(code)


def _perform(argv: Sequence[str]) -> int:
    first, rest = (argv[0], argv[1:]) if argv else ("", ())
    if first in {"-h", "--help"}:
        sys.stdout.write(f"{front_page()}\n")
    elif first == "--version":
        sys.stdout.write(f"ingestor {__version__}\n")
    elif first in COMMANDS:
        from ingestor.commands import perform  # noqa: PLC0415 -- pydantic takes longer than all the rest

        return perform(COMMANDS[first], rest)
    else:
        raise UsageError(_no_command(first))
    return ExitCode.OK


def _no_command(word: str) -> str:
    from ingestor.settings.wording import did_you_mean, shown  # noqa: PLC0415 -- pydantic again

    if not word:
        return f"name a command: {', '.join(COMMANDS)} (see ingestor --help)"
    if word.startswith("-"):
        return f"{shown(word.partition('=')[0])}: options stand after the command: ingestor COMMAND [OPTIONS]"
    return f"{shown(word)}: no such command{did_you_mean(word, COMMANDS)} (see ingestor --help)"


def _complain(message: str) -> None:
    for line in message.splitlines():
        sys.stderr.write(f"ingestor: {printable(line, LONGEST_LINE)}\n")


def _abandon_output() -> None:
    """Let what is left for standard output go nowhere, so that leaving does not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
