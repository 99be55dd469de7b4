"""The entry point: it selects the command, returns its exit code, and prints its error.

It imports little, so that a stop signal that arrives early finds a handler.
"""

import io
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from types import FrameType

from ingestor import __version__
from ingestor.model.errors import ExitCode, IngestorError, UsageError

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None
"""What Python calls on a signal."""

RESUMABLE = frozenset({"run", "resume", "reconcile"})
"""The commands that may be stopped and repeated."""

LONGEST_LINE = 1000
"""Characters of a message that are shown."""

INTERRUPTED = 130
"""Exit code after Ctrl-C outside a batch, as in shells (128 + SIGINT)."""
PIPE_CLOSED = 141
"""Exit code if the reader of standard output closed it too early (128 + SIGPIPE)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors that a person can fix are printed on standard error."""
    argv = sys.argv[1:] if argv is None else list(argv)
    before = _stop_on_early_signals() if argv and argv[0] in RESUMABLE else {}
    code: int = PIPE_CLOSED
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a character that it can't show must not end a batch
    try:
        code = _perform(argv)
        sys.stdout.flush()
    except IngestorError as error:
        _complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        _discard_output()
    except OSError as error:
        _complain(f"{error.filename or 'standard output'}: {error.strerror}")
        _discard_output()
        code = ExitCode.HALTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        signal.alarm(0)
        for number, handler in before.items():
            signal.signal(number, handler)
    return int(code)


def _open_closed_streams() -> None:
    """Open standard output and standard error on the null device where they were closed (`>&-`).

    Then printing raises nothing, and no file that is opened later gets their descriptors.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_WRONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))


def _perform(argv: Sequence[str]) -> int:
    from ingestor.cli.pages import COMMANDS, front_page

    first, rest = (argv[0], argv[1:]) if argv else ("", ())
    if first in {"-h", "--help"}:
        sys.stdout.write(f"{front_page()}\n")
    elif first == "--version":
        sys.stdout.write(f"ingestor {__version__}\n")
    elif first in COMMANDS:
        from ingestor.cli.commands import perform

        return perform(COMMANDS[first], rest)
    else:
        raise UsageError(_unknown_command(first))
    return ExitCode.OK


def _stop_on_early_signals() -> dict[signal.Signals, Handler]:
    """Exit with STOPPED on a stop signal that arrives before the batch begins, because imports take long.

    Return the handlers from before. An ignored signal (nohup, a shell's background) stays ignored. Only the main thread
    can handle signals.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    taken = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, _exit_early)
    return taken


def _exit_early(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"ingestor: stopped before anything was sent; run the same command again\n")
    os._exit(ExitCode.STOPPED)


def _unknown_command(word: str) -> str:
    from ingestor.cli.pages import COMMANDS
    from ingestor.settings.wording import did_you_mean, shown

    if not word:
        return f"name a command: {', '.join(COMMANDS)} (see ingestor --help)"
    if word.startswith("-"):
        return f"{shown(word.partition('=')[0])}: put options after the command: ingestor COMMAND [OPTIONS]"
    return f"{shown(word)}: no such command{did_you_mean(word, COMMANDS)} (see ingestor --help)"


def _complain(message: str) -> None:
    from ingestor.model.text import printable

    for line in message.splitlines():
        sys.stderr.write(f"ingestor: {printable(line, LONGEST_LINE)}\n")


def _discard_output() -> None:
    """Send the rest of standard output to the null device, so that exiting does not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
