"""How a tuning constant is declared: its value, and what a reader needs to change it."""

from dataclasses import field
from typing import TypeVar

N = TypeVar("N", int, float)


def constant(value: N, unit: str, lowest: N, highest: N, meaning: str) -> N:
    """Return a field of a dataclass with a default value, its unit, its sensible range and its meaning.

    The type checker sees the default value: `steps: int = constant(4, "steps", 1, 9, "until the end")`.
    """
    return field(default=value, metadata={"unit": unit, "range": (lowest, highest), "meaning": meaning})
