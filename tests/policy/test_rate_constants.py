"""The table of the rate controller's constants."""

from dataclasses import fields
from pathlib import Path

import pytest

from ingestor.policy.rate_constants import CONSTANTS, RateConstants
from tests.bench.rate_search import constants_table

NAMES = [field.name for field in fields(RateConstants)]
POLICY = Path(__file__).parents[2] / "ingestor" / "policy"
PAGE = Path(__file__).parents[2] / "docs" / "rate-control.md"


@pytest.mark.parametrize("name", NAMES)
def test_a_constant_lies_within_its_range(name: str) -> None:
    [field] = [field for field in fields(RateConstants) if field.name == name]
    lowest, highest = field.metadata["range"]
    assert lowest <= getattr(CONSTANTS, name) <= highest
    assert lowest < highest


@pytest.mark.parametrize("name", NAMES)
def test_every_constant_is_used(name: str) -> None:
    modules = [path for path in POLICY.glob("rate*.py") if path.stem != "rate_constants"]
    assert any(f"constants.{name}" in path.read_text() for path in modules)


def test_the_page_shows_the_table_as_it_is() -> None:
    """`python -m tests.bench.rate_search --table` prints it."""
    assert constants_table() in PAGE.read_text()
