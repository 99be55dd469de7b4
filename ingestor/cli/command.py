"""What help shows of a command: its page, and the text below its options."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command as its help page shows it.

    Attributes:
        purpose: one line, for the list of commands.
        text: the paragraph above the options.
        examples: commands, each with its purpose.
        exit_codes: those that the command can end with, each with its meaning.
        arguments: how usage shows its arguments; empty if it has none.
        settings: names of the settings that it uses; None is all. It accepts the others too.
        defaults: defaults in words, where they are not those of `run`.
        values: under a title, the forms of a value that needs a list, each with its meaning.
    """

    name: str
    purpose: str
    text: str
    examples: tuple[tuple[str, str], ...]
    exit_codes: Mapping[int, str]
    arguments: str = ""
    settings: Collection[str] | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    values: tuple[str, Mapping[str, str]] | None = None


def epilog(command: Command) -> str:
    """Return the text below the options of a command."""
    values = f"{command.values[0]}\n{_explained(command.values[1])}\n\n" if command.values else ""
    return f"{values}Examples:\n{_explained(dict(command.examples))}\n\n{listed(command.exit_codes)}"


def _explained(lines: Mapping[str, str]) -> str:
    return "\n".join(f"  {line}\n      {purpose}" for line, purpose in lines.items())


def listed(exit_codes: Mapping[int, str]) -> str:
    """Return exit codes with their meanings, as help shows them."""
    return "Exit codes:\n" + "\n".join(f"  {code:2}  {meaning}" for code, meaning in exit_codes.items())
