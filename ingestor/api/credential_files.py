"""Files with credentials: small regular files. Each error says what is wrong with the file, and never its content."""

import os
import stat
from pathlib import Path

LONGEST_FILE = 1024 * 1024
"""Bytes that a file with credentials may have."""

_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_UTF8_MARK = b"\xef\xbb\xbf"


class FileError(ValueError):
    """A file can't be used. The text continues a sentence that names the file: "is a directory"."""


def expanded(name: str | Path) -> Path:
    """Return a path with `~` expanded. Raises FileError."""
    try:
        return Path(name).expanduser()
    except RuntimeError:
        raise FileError("does not exist: there is no such home directory, or HOME is not set") from None


def read_content(path: Path) -> bytes:
    """Return the content of a file without a byte order mark and white space around it. Raises FileError.

    Only a regular file is read: a pipe may block, and can't be read again. The content is not empty.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        raise FileError("does not exist") from None
    except OSError as error:
        raise FileError(f"can't be read ({error.strerror})") from None
    except FileError:
        raise
    except ValueError:
        raise FileError("can't be read: its name contains a NUL character") from None
    if len(content) > LONGEST_FILE:
        raise FileError(f"is larger than {LONGEST_FILE:,} bytes")
    if content.startswith(_UTF16) or b"\0" in content[:4]:
        raise FileError("is encoded as UTF-16, or has NUL bytes: save it as UTF-8")
    content = content.removeprefix(_UTF8_MARK).strip()
    if not content:
        raise FileError("is empty")
    return content


def read_text(path: Path) -> str:
    """Return the text of a file, as `read_content`. Raises FileError."""
    try:
        return read_content(path).decode()
    except UnicodeDecodeError:
        raise FileError("is not text in UTF-8") from None


def read_token(path: Path) -> str:
    """Return the token that a file holds. Raises FileError."""
    token = read_text(path)
    if any(map(str.isspace, token)):
        raise FileError("has a line break or a space inside its token: write the token on one line")
    if not (token.isascii() and token.isprintable()):
        raise FileError("does not hold a token: it has characters that a header can't contain")
    return token


def _read(path: Path) -> bytes:
    """Read a regular file; opening a pipe without a writer does not block."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            raise FileError("is a directory")
        if not stat.S_ISREG(mode):
            raise FileError("is not a regular file: it is read more than once, and a pipe or a device can't be")
        with os.fdopen(number, "rb", closefd=False) as file:
            return file.read(LONGEST_FILE + 1)
    finally:
        os.close(number)
