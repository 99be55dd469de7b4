"""What is done with a followed file once every record of it has a durable outcome: the values of `--on-done`."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ingestor.app.options import to_path

AGE = 60.0
"""Seconds without a change after which a file counts as finished."""


class Action(StrEnum):
    """What is done with a finished file."""

    KEEP = "keep"
    DELETE = "delete"
    MOVE = "move"


@dataclass(frozen=True, slots=True)
class OnDone:
    """What is done with a finished file.

    Attributes:
        action: what.
        folder: where it is moved to.
        age: how many seconds it must not have changed before.
    """

    action: Action = Action.KEEP
    folder: Path | None = None
    age: float = AGE

    @classmethod
    def parse(cls, text: str, *, age: float = AGE) -> "OnDone":
        """Return what a text means. Raises ValueError."""
        action, separator, folder = text.partition(":")
        if action == Action.MOVE and folder:
            return cls(Action.MOVE, to_path(folder), age)
        if separator or action not in (Action.KEEP, Action.DELETE):
            raise ValueError("must be keep, delete or move:DIR")
        return cls(Action(action), None, age)


KEEP = OnDone()
