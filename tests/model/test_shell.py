"""Words of commands that a person copies: a real shell reads them back."""

import os
import shutil
import subprocess

import pytest

from ingestor.model.shell import shell_option, shell_word

TEXTS = (
    "plain",
    "a b",
    "it's",
    "a`b",
    "$HOME",
    "",
    "\x1b[31m",
    "a\nb",
    "\u202eabc",
    "é",
    "é\x01f",
    "s\udcffx",
    "a\\`b",
    "!h",
)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_shell_reads_the_same_text_and_a_terminal_shows_nothing_dangerous(shell: str) -> None:
    program = shutil.which(shell)
    assert program is not None, f"{shell} is needed"
    words = [shell_word(text) for text in TEXTS]
    assert all(word.isprintable() and "`" not in word for word in words)
    printed = subprocess.run(
        [program, "-c", f"printf '%s\\0' {' '.join(words)}"], check=True, stdout=subprocess.PIPE
    ).stdout
    assert printed.split(b"\0")[:-1] == [os.fsencode(text) for text in TEXTS]


def test_a_value_that_looks_like_an_option_is_joined_to_its_name() -> None:
    assert shell_option("batch", "nightly") == "--batch nightly"
    assert shell_option("batch", "--format") == "--batch=--format"
