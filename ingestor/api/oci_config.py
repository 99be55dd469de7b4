"""The OCI config file: where it is, and what a profile in it says. No error quotes its content, which may be secret."""

import configparser
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ingestor.api.credential_files import FileError, expanded, read_text
from ingestor.model.text import WHOLE, printable

DEFAULT_FILE = "~/.oci/config"
OLD_FILE = "~/.oraclebmc/config"
VARIABLE = "OCI_CONFIG_FILE"

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "security_token": "session-token",
        "instance_principal": "instance-principal",
        "resource_principal": "resource-principal",
        "oke_workload_identity": "workload-identity",
        "api_key": "api-key",
    }
)
"""The names of `--auth`, by those of `authentication_type` in a profile and of OCI_CLI_AUTH."""

_SETUP = "`oci setup config` writes one"


class ConfigFileError(ValueError):
    """The config file, or a profile in it, can't be used. The text continues a sentence that names the file."""


@dataclass(frozen=True, slots=True)
class Section:
    """The fields of a profile, and the names of those that are its own: the others come from [DEFAULT]."""

    fields: Mapping[str, str] = field(repr=False)
    own: frozenset[str]


def find_config(file: Path | None) -> Path:
    """Return the path of the config file: the given one, or the one that the SDK finds.

    That is ~/.oci/config, else the one that OCI_CONFIG_FILE names, else ~/.oraclebmc/config. Raises FileError.
    """
    if file is not None:
        return expanded(file)
    named = os.environ.get(VARIABLE)
    try:
        usual = expanded(DEFAULT_FILE)
        old = expanded(OLD_FILE)
    except FileError:
        if named:
            return expanded(named)
        raise FileError("is not found: there is no home directory: set HOME, or set --oci-config") from None
    if _is_file(usual):
        return usual
    if named:
        return expanded(named)
    return old if _is_file(old) else usual


def read_section(path: Path, name: str) -> Section:
    """Read a profile. Raises ConfigFileError."""
    try:
        text = read_text(path)
    except FileError as error:
        raise ConfigFileError(
            f"there is no readable OCI config file: it {error}; {_SETUP}, or set --oci-config"
        ) from None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ConfigFileError(f"this is not a valid OCI config file: {_problem(error)}; {_SETUP}") from None
    if name not in parser or (name == parser.default_section and not parser.defaults()):
        raise ConfigFileError(
            f"there is no profile [{printable(name, WHOLE)}] in this OCI config file: set --oci-profile"
        )
    fields = dict(parser[name])
    if "key_content" in fields:
        raise ConfigFileError(
            "this is not a valid OCI config file: key_content is not allowed in it: write the key into a file, and "
            "name that in key_file"
        )
    return Section(fields, _own_fields(text, name))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # below a directory that this user can't read
        return False


def cli_hints(file: Path | None, name: str, kind: str) -> list[str]:
    """Return what the variables of the OCI CLI would choose instead, as sentences; none if they choose the same.

    They are for the CLI alone, and the SDK does not read them: so they change nothing here.
    """
    its_profile, its_file, its_auth = (os.environ.get(f"OCI_CLI_{word}") for word in ("PROFILE", "CONFIG_FILE", "AUTH"))
    its_kind = KINDS.get(its_auth or "", kind)
    hints = [
        its_profile and its_profile != name and f"OCI_CLI_PROFILE is {its_profile}: set --oci-profile to use it.",
        its_file and file is None and f"OCI_CLI_CONFIG_FILE is {its_file}: set --oci-config to use it.",
        its_kind != kind and f"OCI_CLI_AUTH is {its_auth}: set --auth {its_kind} for the same here.",
    ]
    return [printable(hint, WHOLE) for hint in hints if hint]


def _own_fields(text: str, name: str) -> frozenset[str]:
    """Return the names of the fields of a profile without those of [DEFAULT]."""
    parser = configparser.ConfigParser(interpolation=None, default_section="\0", strict=False)
    parser.read_string(text)
    return frozenset(parser[name])


def _problem(error: configparser.Error) -> str:
    """Say in which line a file is wrong, without its text."""
    match error:
        case configparser.MissingSectionHeaderError(lineno=line):
            return f"line {line} stands before the first [profile]"
        case configparser.DuplicateSectionError(lineno=line):
            return f"line {line} begins a profile that occurs twice"
        case configparser.DuplicateOptionError(lineno=line):
            return f"line {line} sets a field a second time"
        case configparser.ParsingError(errors=[(line, _), *_]):
            return f"line {line} is not `name=value`"
    return "it is not a list of `name=value` lines in [profiles]"
