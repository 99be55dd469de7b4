"""The table of constants: complete, used, equal to the page, and without other numbers in the package."""

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from ingestor.policy.in_flight.constants import CONSTANTS, InFlightConstants

FIELDS = {field.name: field for field in fields(InFlightConstants)}
ROOT = Path(__file__).parents[3]
MODULES = [path for path in (ROOT / "ingestor" / "policy" / "in_flight").glob("*.py") if path.stem != "constants"]
PAGE = ROOT / "docs" / "rate-control.md"
NEUTRAL = {0, 1, 2}
"""Numbers that tune nothing: none, one, half."""


def row(name: str) -> str:
    """Return the line of the page's table about a constant."""
    metadata = FIELDS[name].metadata
    lowest, highest = metadata["range"]
    value = getattr(CONSTANTS, name)
    return f"| `{name}` | {value:g} | {metadata['unit']} | {lowest:g} to {highest:g} | {metadata['meaning']} |"


@pytest.mark.parametrize("name", FIELDS)
def test_a_constant_has_a_unit_and_a_meaning_and_lies_within_its_range(name: str) -> None:
    metadata = FIELDS[name].metadata
    lowest, highest = metadata["range"]
    assert lowest <= getattr(CONSTANTS, name) <= highest
    assert lowest < highest
    assert metadata["unit"]
    assert metadata["meaning"]


@pytest.mark.parametrize("name", FIELDS)
def test_every_constant_is_used(name: str) -> None:
    assert any(f"onstants.{name}" in path.read_text() for path in MODULES)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_other_number_tunes_the_limit(path: Path) -> None:
    numbers = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    assert [number for number in numbers if isinstance(number, int | float) and number not in NEUTRAL] == []


def test_the_page_shows_the_table_as_it_is() -> None:
    assert "\n".join(row(name) for name in FIELDS) in PAGE.read_text()
