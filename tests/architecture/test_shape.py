"""The package stays easy to read: no file and no function grows beyond what fits in one's head."""

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "ingestor"

MAX_FILE_LINES = 300
MAX_FUNCTION_LINES = 40

LONG_FILES: dict[str, str] = {}
"""Files of the package that may be longer, each with the reason."""


def sources() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions(text: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the length in lines of every function in a source text."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def test_the_length_of_a_function_spans_its_signature_and_its_body() -> None:
    text = "def outer(\n    a,\n):\n    async def inner():\n        pass\n    return a\n"
    assert sorted(functions(text)) == [("inner", 2), ("outer", 6)]


def test_the_picture_of_the_layers_shows_what_is_enforced() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (layers,) = (it["layers"] for it in project["tool"]["importlinter"]["contracts"] if it["type"] == "layers")
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = page.partition("## Layers")[2].partition("```text\n")[2].partition("```")[0]
    assert [line.split() for line in picture.splitlines()] == [layer.split(" | ") for layer in layers]


def test_a_file_is_at_most_300_lines_long_or_says_why() -> None:
    long = {name_of(path): lines_of(path) for path in sources() if lines_of(path) > MAX_FILE_LINES}
    assert {name: lines for name, lines in long.items() if name not in LONG_FILES} == {}


def test_no_reason_remains_for_a_file_that_is_short() -> None:
    long = {name_of(path) for path in sources() if lines_of(path) > MAX_FILE_LINES}
    assert LONG_FILES.keys() <= long


def test_a_function_is_at_most_40_lines_long() -> None:
    long = {
        f"{name_of(path)}: {name}": lines
        for path in sources()
        for name, lines in functions(path.read_text(encoding="utf-8"))
        if lines > MAX_FUNCTION_LINES
    }
    assert long == {}
