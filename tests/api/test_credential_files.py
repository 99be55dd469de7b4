import os
from pathlib import Path

import pytest

from ingestor.api.credential_files import LONGEST_FILE, FileError, expanded, read_content, read_text, read_token


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "token"


def test_a_file_is_read_without_byte_order_mark_and_white_space_around_it(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf\r\n abc \n\n")
    assert read_content(file) == b"abc"
    assert read_token(file) == "abc"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b" \r\n\t", "is empty"),
        ("abc".encode("utf-16"), "is encoded as UTF-16, or has NUL bytes: save it as UTF-8"),
        ("abc".encode("utf-16-be"), "is encoded as UTF-16, or has NUL bytes: save it as UTF-8"),
        ("abc".encode("utf-16-le"), "is encoded as UTF-16, or has NUL bytes: save it as UTF-8"),
        (b"s3cret\nlines", "has a line break or a space inside its token: write the token on one line"),
        (b"s3cret\r\nlines", "has a line break or a space inside its token: write the token on one line"),
        (b"s3cret lines", "has a line break or a space inside its token: write the token on one line"),
        ("s3cret\u00a0lines".encode(), "has a line break or a space inside its token: write the token on one line"),
        (b"s3cret\x01", "does not hold a token: it has characters that a header can't contain"),
        (b"s3cret\x00", "does not hold a token: it has characters that a header can't contain"),
        ("s3cr\u00e9t".encode(), "does not hold a token: it has characters that a header can't contain"),
        ("s3cr\u00e9t".encode("latin-1"), "is not text in UTF-8"),
        (b"a" * (LONGEST_FILE + 1), f"is larger than {LONGEST_FILE:,} bytes"),
    ],
)
def test_a_file_without_a_token_is_refused_without_its_content(file: Path, content: bytes, problem: str) -> None:
    file.write_bytes(content)
    with pytest.raises(FileError) as caught:
        read_token(file)
    assert str(caught.value) == problem


def test_a_pipe_without_a_writer_is_refused_at_once(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(FileError, match=r"is not a regular file: .*a pipe"):
        read_content(file)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("/dev/zero", "is not a regular file"),
        ("/", "is a directory"),
        ("/nowhere/token", "does not exist"),
        ("/dev/null/token", "can't be read .Not a directory"),
        ("/tmp/" + "a" * 300, "can't be read .File name too long"),  # noqa: S108 - it can't exist
        ("/tmp/a\0b", "can't be read: its name contains a NUL character"),  # noqa: S108 - as above
    ],
)
def test_what_is_no_readable_file_is_refused_with_the_reason(name: str, problem: str) -> None:
    with pytest.raises(FileError, match=problem):
        read_text(Path(name))


def test_no_descriptor_stays_open_after_a_refusal(file: Path) -> None:
    os.mkfifo(file)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in (file, file.parent, Path("/dev/null")):
        with pytest.raises(FileError):
            read_content(path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_home_directory_that_does_not_exist_is_an_error_and_no_traceback() -> None:
    with pytest.raises(FileError, match="no such home directory"):
        expanded("~nobody-has-this-name/token")
    assert expanded("~") == Path.home()
