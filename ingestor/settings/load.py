"""Flags, environment, file and defaults become one `Settings`, and every option keeps where it came from."""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from ingestor.model.errors import UsageError
from ingestor.settings.options import PREFIX, Settings, flag_of, option_of, variable_of
from ingestor.settings.rules import idle_tokens, target_problems
from ingestor.settings.wording import WHOLE, complaint, did_you_mean, shown

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
M = TypeVar("M", bound=BaseModel)


class Place(StrEnum):
    """Where a value may come from, the strongest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Layer:
    """The options that one place gives. `spell` names an option as it is written there."""

    place: Place
    values: Mapping[str, object]
    spell: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Given:
    """Where an option's value came from, and how the option is written there."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in effect.

    `given` tells of every option that is not at its default. `warnings` are for the user, one sentence each.
    """

    settings: Settings
    given: Mapping[str, Given]
    warnings: Sequence[str]

    def spell(self, name: str) -> str:
        """Name an option as it is written where its value came from; as a flag where it has its default."""
        return _spell(self.given, name)


def load(flags: Mapping[str, object], config: str | None = None, *, sending: bool = False) -> Loaded:
    """Settle every option; flags beat the environment beats the file beats the default.

    Args:
        flags: what the command line gives, by option name.
        config: the file that the command line names; without it INGESTOR_CONFIG may name one.
        sending: whether requests will be sent, so that the target must be whole.

    Raises:
        UsageError: one line for everything that is wrong, naming each option as the user wrote it.
    """
    file, problems = _read_config(config)
    layers = [file, _environment(), Layer(Place.FLAG, flags, flag_of)]
    values = {name: value for layer in layers for name, value in layer.values.items()}
    given = {name: Given(layer.place, layer.spell(name)) for layer in layers for name in layer.values}
    spell = partial(_spell, given)
    settings, wrong = _validate(values, spell)
    settled = dict(settings) if settings else values
    problems += [*wrong, *(target_problems(settled, spell) if sending else ())]
    strange = [*_unknown_variables()]
    if settings is None or problems:
        raise UsageError("\n".join([*problems, *strange]))
    return Loaded(settings, given, [*strange, *idle_tokens(settled, spell)])


def _spell(given: Mapping[str, Given], name: str) -> str:
    return given[name].name if name in given else flag_of(name)


def _validate(values: Mapping[str, object], spell: Callable[[str], str]) -> tuple[Settings | None, list[str]]:
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        return None, _complaints(error, spell)


def from_flags(model: type[M], flags: Mapping[str, object]) -> M:
    """Make the options that come by flag only. Raises UsageError."""
    try:
        return model.model_validate(flags)
    except ValidationError as error:
        raise UsageError("\n".join(_complaints(error, flag_of))) from None


def _complaints(error: ValidationError, spell: Callable[[str], str]) -> list[str]:
    return [
        f"{spell(str(detail['loc'][0]))}: {complaint(detail)}"
        for detail in error.errors(include_url=False)
        if detail["type"] != "default_factory_not_called"  # follows from another error, which is told
    ]


def _environment() -> Layer:
    return Layer(Place.ENVIRONMENT, EnvSettingsSource(Settings)(), variable_of)


def _unknown_variables() -> Iterator[str]:
    known = {variable_of(name) for name in Settings.model_fields} | {CONFIG_VARIABLE}
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            yield f"{shown(name)} is not a setting{did_you_mean(name.upper(), known, likeness=0.8)}"


def _read_config(flag: str | None) -> tuple[Layer, list[str]]:
    """Read the file that the flag or the variable names; return its options and what is wrong with its keys."""
    path, name = (flag, "--config") if flag is not None else (os.environ.get(CONFIG_VARIABLE), CONFIG_VARIABLE)
    if not path and flag is None:
        return Layer(Place.FILE, {}, str), []
    table = _parse(Path(path or ""), name)
    wrong = {key: problem for key, value in table.items() if (problem := _wrong_key(key, value))}
    options = {key: value for key, value in table.items() if key not in wrong}
    problems = [f"{shown(path, WHOLE)}: {problem}" for problem in wrong.values()]
    return Layer(Place.FILE, options, f"{shown(path, WHOLE)}: {{}}".format), problems


def _parse(path: Path, name: str) -> Mapping[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{name}: {shown(path, WHOLE)} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{name}: {shown(path, WHOLE)} is not valid TOML: {error}") from None


def _wrong_key(key: str, value: object) -> str | None:
    field = Settings.model_fields.get(key)
    if field is None and isinstance(value, dict):
        return f"[{shown(key)}]: tables are not used: write every option at the top level"
    if field is None:
        return f"{shown(key)}: no such option{did_you_mean(key, Settings.model_fields)}"
    if option_of(field).secret:
        return f"{key}: a secret does not belong in a file: set {variable_of(key)} instead"
    return None
