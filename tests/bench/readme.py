"""The part of README.md that a benchmark writes: what stands between two comments, and nothing else."""

from pathlib import Path

from tests.bench.process import ROOT

README = ROOT / "README.md"

BEGIN = "<!-- begin: written by make bench -->"
END = "<!-- end: written by make bench -->"


def replaced(document: str, content: str) -> str:
    """Return a document with `content` between its two comments. Raises ValueError where they don't stand once."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in before + after:
        raise ValueError(f"the document needs one line {BEGIN} and after it one line {END}")
    return f"{before}{BEGIN}\n\n{content.strip()}\n\n{END}{after}"


def write(content: str, path: Path = README) -> None:
    """Put `content` into the README. Raises ValueError as `replaced`."""
    path.write_text(replaced(path.read_text(encoding="utf-8"), content), encoding="utf-8")
