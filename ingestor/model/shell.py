"""Options of a command that a person copies into a shell: bash, zsh or ksh."""

import os
import shlex


def shell_word(text: str) -> str:
    r"""Return `text` as a shell reads it: printable, and without a backtick, which ends a command in a sentence.

    What can't be shown is written as `$'\x1b'`, byte for byte.
    """
    if text.isprintable() and "`" not in text:
        return shlex.quote(text)
    return f"$'{''.join(map(_byte, os.fsencode(text)))}'"


def shell_option(name: str, value: str) -> str:
    """Return an option and its value; a value that begins with a hyphen is joined to the name."""
    return f"--{name}{'=' if value.startswith('-') else ' '}{shell_word(value)}"


def _byte(number: int) -> str:
    char = chr(number)
    return char if char.isascii() and char.isprintable() and char not in "'\\`" else f"\\x{number:02x}"
