"""The command line: which command, how it ends, and what is said when it can't be done.

Little is imported here, so that a signal to a process that begins finds it prepared.
"""

import io
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType

from ingestor import __version__
from ingestor.model.errors import ExitCode, IngestorError, UsageError

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None
"""What is done on a signal."""

RESUMABLE = frozenset({"run", "resume", "reconcile"})
"""The commands that may be stopped and given again."""

LONGEST_LINE = 1000
"""Characters of a message that are shown."""

INTERRUPTED = 130
"""Exit code after Ctrl-C outside a batch, as shells have it (128 + SIGINT)."""
PIPE_CLOSED = 141
"""Exit code where the reader of standard output went away before the command was done (128 + SIGPIPE)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. What a person can mend is told on standard error in plain words."""
    argv = sys.argv[1:] if argv is None else list(argv)
    before = _let_signals_stop_it() if argv and argv[0] in RESUMABLE else {}
    code: int = PIPE_CLOSED
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what it can't show must not end what was done
    try:
        code = _perform(argv)
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
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return int(code)


def _open_what_is_closed() -> None:
    """Let standard output and error go nowhere where they were closed (`>&-`).

    So what is printed ends no batch, and no file that is opened later gets their number and all that is printed.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8"))


def _perform(argv: Sequence[str]) -> int:
    from ingestor.settings.pages import COMMANDS, front_page  # noqa: PLC0415 -- see above

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


def _let_signals_stop_it() -> dict[signal.Signals, Handler]:
    """End in order on a signal that comes before the batch begins, which takes over from there: imports take long.

    Return what was to be done before; a signal that is ignored (nohup, a shell's background) stays so.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heard = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in heard:
        signal.signal(number, _leave)
    return heard


def _leave(_number: int, _frame: FrameType | None) -> None:
    os.write(2, b"ingestor: stopped before anything was sent; run the same command again\n")
    os._exit(ExitCode.STOPPED)


def _no_command(word: str) -> str:
    from ingestor.settings.pages import COMMANDS  # noqa: PLC0415 -- see above
    from ingestor.settings.wording import did_you_mean, shown  # noqa: PLC0415 -- pydantic again

    if not word:
        return f"name a command: {', '.join(COMMANDS)} (see ingestor --help)"
    if word.startswith("-"):
        return f"{shown(word.partition('=')[0])}: options stand after the command: ingestor COMMAND [OPTIONS]"
    return f"{shown(word)}: no such command{did_you_mean(word, COMMANDS)} (see ingestor --help)"


def _complain(message: str) -> None:
    from ingestor.report.text import printable  # noqa: PLC0415 -- see above

    for line in message.splitlines():
        sys.stderr.write(f"ingestor: {printable(line, LONGEST_LINE)}\n")


def _abandon_output() -> None:
    """Let what is left for standard output go nowhere, so that leaving does not fail on it again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
