"""One word for one thing: words of the private vocabulary that the field's terms replaced stay away."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

OLD_WORDS = (
    r"hearing",
    r"hearken\w*",
    r"(?:un)?told",
    r"tell(?:s|ing)?",
    r"witness\w*",
    r"leftovers?",
    r"seams?",
    r"mend(?:s|ed|ing)?",
    r"doorkeeper",
    r"verdicts?",
    r"rulings?",
    r"handover",
    r"handful",
    r"in hand",
    r"in_doubt",
    r"settled_at",
    r"prospects?",
    r"volleys?",
    r"patience",
    r"surely",
    r"whoever",
    r"burnt",
    r"let go",
    r"taken in",
    r"brought in",
    r"be_well",
    r"climb(?:s|ed|ing)?",
    r"hover(?:s|ed|ing)?",
    r"for certain",
    r"takes? note",
    r"go(?:es|ing)? on",
    r"reads on",
    r"bring(?:s|ing)?",
    r"fed back",
    r"beats?",
    r"beside",
    r"behind",
)
ALLOWED = {
    ("ingestor/journal/schema.py", "untold"): "a table of journals of version 7, which are migrated",
}
"""Old words that stay, by file, each with the reason."""

PATTERN = re.compile(rf"(?<![a-zA-Z])(?:{'|'.join(OLD_WORDS)})(?![a-zA-Z])", re.IGNORECASE)


def texts() -> list[Path]:
    """Return the package's sources and the documents for users and contributors."""
    documents = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return sorted([*(ROOT / "ingestor").rglob("*.py"), *(ROOT / "docs").glob("**/*.md"), *documents])


@pytest.mark.parametrize("text", ["self._hearing", "class Hearing:", "it is Told", "UNTOLD_ROWS", "what is mended"])
def test_an_old_word_is_found_in_code_and_prose(text: str) -> None:
    assert PATTERN.search(text)


@pytest.mark.parametrize("text", ["recommend", "amendment", "shearing", "beforehand", "retold stories", "seamless"])
def test_a_word_that_contains_an_old_one_is_left_alone(text: str) -> None:
    assert not PATTERN.search(text)


def uses() -> list[tuple[str, int, str]]:
    """Return every use of an old word: file, line number, word."""
    return [
        (path.relative_to(ROOT).as_posix(), number, match[0].lower())
        for path in texts()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in PATTERN.finditer(line)
    ]


def test_no_old_word_is_used() -> None:
    found = [f"{file}:{number}: {word}" for file, number, word in uses() if (file, word) not in ALLOWED]
    assert found == []


def test_no_reason_remains_for_a_word_that_is_gone() -> None:
    assert ALLOWED.keys() <= {(file, word) for file, _, word in uses()}
