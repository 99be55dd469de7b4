"""The tables of constants: complete, used, equal to the page, and without other numbers in their packages."""

import ast
from collections.abc import Mapping
from dataclasses import Field, fields
from pathlib import Path

import pytest

from ingestor.policy.in_flight.constants import InFlightConstants
from ingestor.policy.rate.constants import RateConstants

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "rate-control.md"
TABLES = {"rate": RateConstants, "in_flight": InFlightConstants}
"""The tables, by the package that uses them."""

ALL = [(package, field) for package, table in TABLES.items() for field in fields(table)]
NAMES = [f"{package}.{field.name}" for package, field in ALL]
NEUTRAL = {0, 1, 2}
"""Numbers that tune nothing: none, one, half."""

SETTINGS: Mapping[str, list[float]] = {"controller": [60.0]}
"""Defaults of the user's settings, by the module that has them: `max_pause`."""


def modules(package: str) -> list[Path]:
    return [path for path in (ROOT / "ingestor" / "policy" / package).glob("*.py") if path.stem != "constants"]


MODULES = [path for package in TABLES for path in modules(package)]


def row(field: "Field[float]") -> str:
    """Return the line of the page's table about a constant."""
    lowest, highest = field.metadata["range"]
    unit, meaning = field.metadata["unit"], field.metadata["meaning"]
    return f"| `{field.name}` | {field.default:g} | {unit} | {lowest:g} to {highest:g} | {meaning} |"


@pytest.mark.parametrize(("package", "field"), ALL, ids=NAMES)
def test_a_constant_has_a_unit_and_a_meaning_and_lies_within_its_range(package: str, field: "Field[float]") -> None:
    lowest, highest = field.metadata["range"]
    assert lowest <= field.default <= highest
    assert lowest < highest
    assert field.metadata["unit"]
    assert field.metadata["meaning"]


@pytest.mark.parametrize(("package", "field"), ALL, ids=NAMES)
def test_every_constant_is_used(package: str, field: "Field[float]") -> None:
    assert any(f"onstants.{field.name}" in path.read_text() for path in modules(package))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_no_other_number_tunes_the_control(path: Path) -> None:
    numbers = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    other = [number for number in numbers if isinstance(number, int | float) and number not in NEUTRAL]
    assert other == SETTINGS.get(path.stem, [])


@pytest.mark.parametrize("package", TABLES)
def test_the_page_shows_a_table_as_it_is(package: str) -> None:
    assert "\n".join(row(field) for field in fields(TABLES[package])) in PAGE.read_text()
