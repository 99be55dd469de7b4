"""Thousands of lives of a batch in virtual time: each has faults of its own, and is held to the promises."""

from collections import Counter

import pytest

from tests.simulation.life import live
from tests.simulation.schedule import draw

LEAST = 0.5
"""The share of keys that become runs, at least: lives that only fail would prove nothing."""


@pytest.mark.timeout(7200)
def test_no_promise_is_broken_in_any_life(seed: int, pytestconfig: pytest.Config) -> None:
    outcomes = Counter[str]()
    for number in range(seed, seed + pytestconfig.getoption("--lives")):
        try:
            outcomes += live(draw(number))
        except BaseException as error:
            error.add_note(f"live it again: python -m tests.simulation 1 {number}")
            raise
    assert outcomes["created"] > LEAST * outcomes.total()
    assert min(outcomes["failed"], outcomes["unresolved"], outcomes["partial"]) > 0, "the lives are too easy"


@pytest.mark.parametrize("number", [3, 20])
def test_a_seed_is_a_life(number: int) -> None:
    assert draw(number) == draw(number)
    assert live(draw(number)) == live(draw(number))
