"""Flags, environment, file and defaults become one `Settings`, with the origin of each value."""

import os
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from ingestor.model.errors import UsageError
from ingestor.model.text import WHOLE
from ingestor.settings.config_file import read_config
from ingestor.settings.options import PREFIX, Settings, flag_of, option_of, variable_of
from ingestor.settings.places import Given, Place
from ingestor.settings.rules import REPLACES, TARGETS, service_problems, target_problems, unused_credentials
from ingestor.settings.tracking import server_credentials
from ingestor.settings.wording import complaint, did_you_mean, shown

CONFIG_VARIABLE = f"{PREFIX}CONFIG"
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Layer:
    """The options from one place. `spell` names an option as it is written there."""

    place: Place
    values: Mapping[str, object]
    spell: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in effect.

    `given` has every option that is not at its default. `warnings` are for the user, one sentence each.
    """

    settings: Settings
    given: Mapping[str, Given]
    warnings: Sequence[str]

    def spell(self, name: str) -> str:
        """Name an option as it is written where its value came from, or as a flag if it has its default."""
        return _spell(self.given, name)


def load(flags: Mapping[str, object], config: str | None = None, *, sending: bool = False) -> Loaded:
    """Return the settings in effect.

    Flags override the environment, which overrides the file, which overrides the defaults.

    Args:
        flags: what the command line gives, by option name.
        config: the file that the command line names. Without one, INGESTOR_CONFIG may name it.
        sending: whether requests will be sent, so that the target must be complete.

    Raises:
        UsageError: one line for each error, which names the option as the user wrote it.
    """
    file, problems = _read_config(config)
    layers, overridden = _without_weaker_targets([file, _environment(), Layer(Place.FLAG, flags, flag_of)])
    values = {name: value for layer in layers for name, value in layer.values.items()}
    given = {name: Given(layer.place, layer.spell(name)) for layer in layers for name in layer.values}
    spell = partial(_spell, given)
    found = server_credentials(values, given)
    values |= found.values
    given |= found.given
    settings, wrong = _validate(values, spell)
    effective = dict(settings) if settings else values
    problems += wrong
    if sending:
        problems += [*target_problems(effective, spell), *(service_problems(effective, spell) if settings else ())]
    unknown = [*_unknown_variables()]
    if settings is None or problems:
        raise UsageError("\n".join([*problems, *unknown]))
    return Loaded(settings, given, [*overridden, *unknown, *found.warnings, *unused_credentials(effective, spell)])


def _without_weaker_targets(layers: Sequence[Layer]) -> tuple[list[Layer], list[str]]:
    """Remove the target of a weaker place where a stronger one names another. Return the warnings about that.

    `--endpoint` replaces a region in the file, and `--tracking-uri` replaces a whole AIDP target.
    """
    kept: list[Layer] = []
    warnings: list[str] = []
    stronger: dict[str, str] = {}
    for layer in reversed(layers):
        unused = {name for name in layer.values if any(name in REPLACES.get(target, ()) for target in stronger)}
        warnings += [f"{layer.spell(name)} is not used: {next(iter(stronger.values()))} replaces it" for name in unused]
        kept.insert(0, replace(layer, values={k: v for k, v in layer.values.items() if k not in unused}))
        stronger |= {name: layer.spell(name) for name in TARGETS if layer.values.get(name) and name not in unused}
    return kept, sorted(warnings)


def _spell(given: Mapping[str, Given], name: str) -> str:
    return given[name].name if name in given else flag_of(name)


def _validate(values: Mapping[str, object], spell: Callable[[str], str]) -> tuple[Settings | None, list[str]]:
    try:
        return Settings.model_validate(values), []
    except ValidationError as error:
        return None, _complaints(error, spell)


def from_flags(model: type[M], flags: Mapping[str, object]) -> M:
    """Return options that can be set by flags only. Raises UsageError."""
    try:
        return model.model_validate(flags)
    except ValidationError as error:
        raise UsageError("\n".join(_complaints(error, flag_of))) from None


def _complaints(error: ValidationError, spell: Callable[[str], str]) -> list[str]:
    return [
        f"{spell(str(detail['loc'][0]))}: {complaint(detail)}"
        for detail in error.errors(include_url=False)
        if detail["type"] != "default_factory_not_called"  # follows from another error, which is reported
    ]


def _environment() -> Layer:
    return Layer(Place.ENVIRONMENT, EnvSettingsSource(Settings)(), variable_of)


def _unknown_variables() -> Iterator[str]:
    known = {variable_of(name) for name in Settings.model_fields} | {CONFIG_VARIABLE}
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            yield f"{shown(name)} is not a setting{did_you_mean(name.upper(), known, likeness=0.8)}"


def _read_config(flag: str | None) -> tuple[Layer, list[str]]:
    """Read the file that the flag or the variable names. Return its options, and the problems with its keys."""
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
        return tomllib.loads(read_config(path).decode("utf-8-sig"))
    except OSError as error:
        raise UsageError(f"{name}: {shown(path, WHOLE)} can't be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{name}: {shown(path, WHOLE)} is not valid TOML: {error}") from None


def _wrong_key(key: str, value: object) -> str | None:
    field = Settings.model_fields.get(key)
    if field is None and isinstance(value, dict):
        return f"[{shown(key)}]: tables are not supported: write every option at the top level"
    if field is None:
        return f"{shown(key)}: no such option{did_you_mean(key, Settings.model_fields)}"
    if option_of(field).secret:
        return f"{key}: a secret can't be set in a file: set {variable_of(key)} instead"
    return None
