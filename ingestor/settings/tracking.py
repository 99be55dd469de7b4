"""The credentials of a tracking server: what MLflow's own variables say, and the `auth` that fits what is set."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ingestor.api.values import AuthKind

MLFLOW_VARIABLES: Mapping[str, str] = MappingProxyType(
    {
        "basic_username": "MLFLOW_TRACKING_USERNAME",
        "basic_password": "MLFLOW_TRACKING_PASSWORD",
        "bearer_token": "MLFLOW_TRACKING_TOKEN",
    }
)
"""The variables of MLflow's client, by the options that they stand for."""

_BASIC = ("basic_username", "basic_password")
_BEARER = ("bearer_token", "bearer_token_file")


@dataclass(slots=True)
class Found:
    """Options that nobody set by their own names.

    Attributes:
        values: the options, each with its value.
        names: the options, each with the name of what it comes from.
        warnings: one sentence each.
    """

    values: dict[str, object] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, option: str, value: object, name: str) -> None:
        """Add an option that comes from what has this name."""
        self.values[option] = value
        self.names[option] = name


def server_credentials(values: Mapping[str, object], spell: Callable[[str], str]) -> Found:
    """Return the credentials for a tracking server that the given options leave open; nothing for another target.

    As in MLflow's client, a name with a password precedes a token. An option of our own precedes MLflow's variables.
    """
    found = Found()
    if not values.get("tracking_uri") or values.get("region") or values.get("endpoint"):
        return found
    auth = values.get("auth") or next(_fitting(values, spell, found), None)
    if auth == AuthKind.BASIC:
        _fill(found, values, _BASIC)
    elif auth == AuthKind.BEARER and not any(map(values.get, _BEARER)):
        _fill(found, values, _BEARER[:1])
    elif auth is None:
        found.warnings += _half_set()
    return found


def _fitting(values: Mapping[str, object], spell: Callable[[str], str], found: Found) -> Iterator[AuthKind]:
    """Yield the kinds of credentials that are set, and add the first one to what was found."""
    for kind, options in ((AuthKind.BASIC, _BASIC), (AuthKind.BEARER, _BEARER)):
        if (option := next(filter(values.get, options), None)) is not None:
            found.add("auth", kind, spell(option))
            yield kind
    for kind, its in ((AuthKind.BASIC, _BASIC), (AuthKind.BEARER, _BEARER[:1])):
        names = [MLFLOW_VARIABLES[option] for option in its]
        if all(map(os.environ.get, names)):
            found.add("auth", kind, names[0])
            yield kind


def _fill(found: Found, values: Mapping[str, object], options: tuple[str, ...]) -> None:
    for option in options:
        name = MLFLOW_VARIABLES[option]
        if not values.get(option) and os.environ.get(name):
            found.add(option, os.environ[name], name)


def _half_set() -> Iterator[str]:
    names = [MLFLOW_VARIABLES[option] for option in _BASIC]
    for name, other in (names, reversed(names)):
        if os.environ.get(name):
            yield f"{name} is not used: {other} is not set"
