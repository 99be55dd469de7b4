"""Where the value of an option comes from."""

from dataclasses import dataclass
from enum import StrEnum


class Place(StrEnum):
    """Where a value may come from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Given:
    """Where the value of an option came from, and how the option is written there."""

    place: Place
    name: str
