"""The entry point: it selects the command, returns its exit code, and prints its error.

It imports little, so that a stop signal that arrives early finds a handler.
"""

import io
import os
import select
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType

from ingestor.model.errors import ExitCode, IngestorError, UsageError
from ingestor.system.limits import forbid_core_dumps
from ingestor.system.stops import STOPS_NOTHING, Handler, hold_stops, release_stops, taken_signals

RESUMABLE = frozenset({"run", "resume", "reconcile"})
"""The commands that may be stopped and repeated."""

_BUG = "this is a fault of ingestor: please report it with the lines above. Finished records are not sent again."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code. Errors that a person can fix are printed on standard error.

    Without `argv` it is the program: the process ends here, whatever its threads wait for, and whatever signal arrives.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    if argv is None:
        forbid_core_dumps()
    before, code = _take_early_signals(words), int(ExitCode.STOPPED)
    try:
        with suppress(KeyboardInterrupt):  # before the command begins, or after its end
            from ingestor.app.standard_streams import open_closed_streams, unfailing_messages

            open_closed_streams()
            with unfailing_messages():
                code = int(_end(words))
        if argv is None:
            os._exit(code)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
        release_stops()
    return code


def _end(argv: Sequence[str]) -> int:
    """Run one command to its end, whatever that is."""
    from ingestor.app.standard_streams import discard_output, last_messages

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a character that it can't show must not end a batch
    code: int = ExitCode.OK
    try:
        code = _perform(argv)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads the output has enough
        discard_output()
    except KeyboardInterrupt:
        discard_output()
        code = ExitCode.OK if argv[:1] == ["simulate"] else ExitCode.STOPPED
    except Exception as error:  # noqa: BLE001 - every error has an exit code of the table
        with last_messages():
            code = _explain(error)
        with suppress(OSError):
            sys.stdout.flush()
        discard_output()
    return code


def _explain(error: Exception) -> int:
    """Print an error, and return its exit code."""
    from ingestor.app.messages import complain
    from ingestor.app.standard_streams import spell_output_error
    from ingestor.system.limits import limit_of

    known = error if isinstance(error, IngestorError) else limit_of(error)
    if known is not None:
        complain(str(known))
        return known.exit_code
    if isinstance(error, OSError):
        complain(f"{error.filename}: {error.strerror}" if error.filename else spell_output_error(error))
    else:
        import traceback

        traceback.print_exception(error)
        complain(_BUG)
    return ExitCode.HALTED


def _perform(argv: Sequence[str]) -> int:
    from ingestor.cli.pages import COMMANDS

    first, rest = (argv[0], argv[1:]) if argv else ("", ())
    if first in {"-h", "--help"}:
        from ingestor.cli.front_page import front_page

        sys.stdout.write(f"{front_page()}\n")
    elif first == "--version":
        from ingestor.cli.version import version

        sys.stdout.write(f"{version()}\n")
    elif first in COMMANDS:
        from ingestor.cli.commands import perform

        return perform(COMMANDS[first], rest)
    else:
        raise UsageError(_unknown_command(first))
    return ExitCode.OK


def _take_early_signals(words: Sequence[str]) -> dict[signal.Signals, Handler]:
    """Take the signals that arrive before a batch begins, because imports take long; return the handlers from before.

    A command that sends exits with STOPPED: nothing was sent. Where it may follow its sources, the signal waits: what
    exists must be read. Any other command is interrupted.
    """
    before = taken_signals()
    for number in before:
        early: Handler = _exit_early if words[:1] and words[0] in RESUMABLE else _interrupt
        signal.signal(number, signal.SIG_IGN if number in STOPS_NOTHING else early)
    if before and words[:1] == ["run"] and _may_follow(words):
        hold_stops()
    return before


def _may_follow(words: Sequence[str]) -> bool:
    """Whether the settings, which are not read yet, may say that the sources are followed."""
    is_named = any(name in os.environ for name in ("INGESTOR_FOLLOW", "INGESTOR_ACCEPT", "INGESTOR_CONFIG"))
    return is_named or any(word.startswith(("--follow", "--accept", "--config")) for word in words)


def _exit_early(_number: int, _frame: FrameType | None) -> None:
    with suppress(OSError):
        if select.select((), (2,), (), 0)[1]:  # a signal ends every wait, also for a full pipe
            os.write(2, b"ingestor: stopped before anything was sent; run the same command again\n")
    os._exit(ExitCode.STOPPED)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Interrupt the command; a second signal ends the process, whatever it waits for."""
    for number in taken_signals():
        if number not in STOPS_NOTHING:
            signal.signal(number, lambda *_: os._exit(ExitCode.STOPPED))
    raise KeyboardInterrupt


def _unknown_command(word: str) -> str:
    from ingestor.cli.pages import COMMANDS
    from ingestor.settings.wording import did_you_mean, shown

    if not word:
        return f"name a command: {', '.join(COMMANDS)} (see ingestor --help)"
    if word.startswith("-"):
        return f"{shown(word.partition('=')[0])}: put options after the command: ingestor COMMAND [OPTIONS]"
    return f"{shown(word)}: no such command{did_you_mean(word, COMMANDS)} (see ingestor --help)"
