"""The credentials of a tracking server: what MLflow's own variables say, and the `auth` that fits what is set."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ingestor.api.values import AuthKind
from ingestor.settings.places import Given, Place

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
        given: the options, each with what it comes from.
        warnings: one sentence each.
    """

    values: dict[str, object] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def add(self, option: str, value: object, origin: Given) -> None:
        """Add an option that comes from what `origin` names."""
        self.values[option] = value
        self.given[option] = origin


def server_credentials(values: Mapping[str, object], given: Mapping[str, Given]) -> Found:
    """Return the credentials for a tracking server that the given options leave open; nothing for another target.

    As in MLflow's client, a name with a password precedes a token. An option of our own precedes MLflow's variables.
    """
    found = Found()
    if not values.get("tracking_uri") or values.get("region") or values.get("endpoint"):
        return found
    auth = values.get("auth")
    if not auth and (fitting := _fitting(values, given)) is not None:
        auth, origin = fitting
        found.add("auth", auth, origin)
    if auth == AuthKind.BASIC:
        _fill(found, values, _BASIC)
    elif auth == AuthKind.BEARER and not any(map(values.get, _BEARER)):
        _fill(found, values, _BEARER[:1])
    elif not auth:
        found.warnings += _half_set()
    return found


def _fitting(values: Mapping[str, object], given: Mapping[str, Given]) -> tuple[AuthKind, Given] | None:
    """Return the kind of credentials that are set, and what shows it."""
    for kind, options in ((AuthKind.BASIC, _BASIC), (AuthKind.BEARER, _BEARER)):
        if (option := next(filter(values.get, options), None)) is not None:
            return kind, given[option]
    if all(map(_is_set, _BASIC)):
        return AuthKind.BASIC, _variable(_BASIC[0])
    if _is_set(_BEARER[0]):
        return AuthKind.BEARER, _variable(_BEARER[0])
    return None


def _is_set(option: str) -> bool:
    """Whether MLflow's variable for an option is set."""
    return bool(os.environ.get(MLFLOW_VARIABLES[option]))


def _variable(option: str) -> Given:
    return Given(Place.ENVIRONMENT, MLFLOW_VARIABLES[option])


def _fill(found: Found, values: Mapping[str, object], options: tuple[str, ...]) -> None:
    for option in options:
        if not values.get(option) and _is_set(option):
            found.add(option, os.environ[MLFLOW_VARIABLES[option]], _variable(option))


def _half_set() -> Iterator[str]:
    names = [MLFLOW_VARIABLES[option] for option in _BASIC]
    for name, other in (names, reversed(names)):
        if os.environ.get(name):
            yield f"{name} is not used: {other} is not set"
