"""The options of a model as flags: an argparse parser with help. It returns the given texts."""

import argparse
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby, takewhile
from textwrap import wrap
from types import MappingProxyType
from typing import NoReturn, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from ingestor.model.errors import UsageError
from ingestor.settings.load import CONFIG_VARIABLE
from ingestor.settings.options import Settings, flag_of, option_of, variable_of
from ingestor.settings.wording import did_you_mean, shown

_SECRETS = {
    flag_of(name): variable_of(name) for name, field in Settings.model_fields.items() if option_of(field).secret
}


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A command line: options by name (switches as booleans, all others as text), and the arguments."""

    options: Mapping[str, object]
    arguments: Sequence[str]
    config: str | None


class _Once(argparse.Action):
    """Stores the value of an option that has one. A second, different value is an error: one of them is a mistake."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - as argparse calls it
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        _set_once(self, namespace, values, option_string)


class _Switch(argparse.BooleanOptionalAction):
    """Stores true for `--name` and false for `--no-name`. Both together are an error."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002 - as argparse calls it
        namespace: argparse.Namespace,
        values: object,  # noqa: ARG002 - a switch has none
        option_string: str | None = None,
    ) -> None:
        _set_once(self, namespace, not (option_string or "").startswith("--no-"), option_string)


def _set_once(action: argparse.Action, namespace: argparse.Namespace, value: object, flag: str | None) -> None:
    former = getattr(namespace, action.dest, value)
    if former == value:
        setattr(namespace, action.dest, value)
    elif isinstance(value, bool):
        raise argparse.ArgumentError(None, f"{' and '.join(action.option_strings)}: give only one of them")
    else:
        raise argparse.ArgumentError(
            None, f"{flag} is given twice, as {shown(former)} and {shown(value)}: give it once"
        )


class Parser(argparse.ArgumentParser):
    """The parser of one command. Options may come before and after arguments."""

    def __init__(self, name: str, arguments: str, description: str, epilog: str) -> None:
        """`arguments` is how usage shows them; `description` and `epilog` are the texts around the options."""
        super().__init__(
            prog=f"ingestor {name}",
            usage=" ".join(filter(None, [f"ingestor {name}", arguments, "[OPTIONS]"])),
            description=description,
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,
            add_help=False,
        )
        if arguments:
            self.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)

    def add_options(
        self,
        model: type[BaseModel],
        show: Collection[str] | None = None,
        defaults: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Add the options of a model, by group.

        Help shows those in `show`, by default all, with their own defaults or those in `defaults`.
        """
        for title, fields in groupby(model.model_fields.items(), key=lambda item: option_of(item[1]).group):
            options = dict(fields)
            shows = {name for name in options if show is None or name in show}
            group = self.add_argument_group(title, _secrets_among(options, shows))
            for name, field in options.items():
                if not option_of(field).secret:
                    default = defaults.get(name) or default_of(field)
                    text = _help(model, name, field, default) if name in shows else argparse.SUPPRESS
                    _add(group, name, field, text)

    def add_common(self, *, config: bool) -> None:
        """Add the options of every command; `config` only for a command with settings."""
        group = self.add_argument_group("Other")
        if config:
            text = f"A TOML file with settings. [env: {CONFIG_VARIABLE}]"
            group.add_argument("--config", metavar="FILE", action=_Once, default=argparse.SUPPRESS, help=text)
        group.add_argument("-h", "--help", action="store_true", default=argparse.SUPPRESS, help="Show this page.")

    def read(self, argv: Sequence[str]) -> CommandLine:
        """Parse a command line. Everything after `--` is an argument.

        Raises UsageError. The message names an unknown flag without its value, which may be a secret.
        """
        before = list(takewhile(lambda word: word != "--", argv))
        given, unknown = self.parse_known_intermixed_args(before)
        options = vars(given)
        arguments, config = options.pop("arguments", None), options.pop("config", None)
        after = argv[len(before) + 1 :]
        if unknown:
            self.error(self._unknown(unknown))
        if after and arguments is None:
            self.error(f"unexpected argument {shown(after[0])}")
        return CommandLine(options, [*(arguments or ()), *after], config)

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print before it exits."""
        raise UsageError(f"{message.removeprefix('argument ')} (see {self.prog} --help)")

    def _unknown(self, words: Sequence[str]) -> str:
        flag = next((word.partition("=")[0] for word in words if word.startswith("-")), "")
        if not flag:
            return f"unexpected argument {shown(words[0])}"
        if flag in _SECRETS:
            return f"{flag}: a secret can't be given as a flag: set {_SECRETS[flag]} instead"
        return f"{shown(flag)}: no such option{did_you_mean(flag, self._option_string_actions)}"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=32)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [line for part in text.splitlines() for line in wrap(part, width, break_on_hyphens=False)]


def _add(group: argparse._ArgumentGroup, name: str, field: FieldInfo, text: str) -> None:
    metavar = option_of(field).metavar
    if metavar:
        action = "append" if get_origin(field.annotation) is tuple else _Once
        group.add_argument(
            flag_of(name), dest=name, metavar=metavar, action=action, default=argparse.SUPPRESS, help=text
        )
    else:
        group.add_argument(flag_of(name), dest=name, action=_Switch, default=argparse.SUPPRESS, help=text)


def _help(model: type[BaseModel], name: str, field: FieldInfo, default: str) -> str:
    variable = f"[env: {variable_of(name)}]" if issubclass(model, BaseSettings) else ""
    shown_default = f"[default: {default}]" if default else ""
    return f"{description_of(field)}\n{variable} {shown_default}".strip().replace("%", "%%")


def description_of(field: FieldInfo) -> str:
    """Return what an option means, and the values that it takes."""
    text = " ".join((field.description or "").split())
    return f"{text} One of {', '.join(names)}." if (names := choices_of(field)) else text


def choices_of(field: FieldInfo) -> list[str]:
    """Return the words that an option takes; none if it takes any text."""
    kinds = () if get_origin(field.annotation) is Mapping else (field.annotation, *get_args(field.annotation))
    return [str(choice) for kind in kinds if isinstance(kind, type) and issubclass(kind, StrEnum) for choice in kind]


def default_of(field: FieldInfo) -> str:
    """Return the default of an option in words; "" if there is none."""
    if (words := option_of(field).default) or field.default in (None, ()):
        return words
    if isinstance(field.default, bool):
        return "yes" if field.default else "no"
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def _secrets_among(options: dict[str, FieldInfo], names: Collection[str]) -> str | None:
    lines = [
        f"\n  {variable_of(name)}  {field.description}"
        for name, field in options.items()
        if option_of(field).secret and name in names
    ]
    return f"Secrets can't be given as flags:{''.join(lines)}" if lines else None
