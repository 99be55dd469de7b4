"""Messages on standard error, and the result of work on standard output."""

import sys

from ingestor.app.standard_streams import discard_output, last_messages, spell_output_error
from ingestor.model.text import WHOLE, printable


def complain(message: str) -> None:
    """Print a message: each of its lines as one line, made printable."""
    for line in message.splitlines():
        sys.stderr.write(f"ingestor: {printable(line, WHOLE)}\n")


def warn(message: str) -> None:
    """Print a warning."""
    complain(f"warning: {message}")


def print_result(text: str) -> None:
    """Print what was done on standard output, or on standard error where that fails: the work is done in any case.

    A reader that has closed the output has enough.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        discard_output()
        with last_messages():
            complain(f"the result can't be written: {spell_output_error(error)}")
            print(text, file=sys.stderr)
