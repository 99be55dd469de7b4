"""The settings file that `ingestor config --init` writes: every option with its meaning, made from its declaration."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from textwrap import wrap

from pydantic.fields import FieldInfo

from ingestor.cli.flags import default_of, description_of
from ingestor.model.errors import UsageError
from ingestor.model.text import WHOLE
from ingestor.settings.load import load
from ingestor.settings.options import Settings, option_of, variable_of
from ingestor.settings.wording import shown

TEMPLATE_NAME = "ingestor.toml"
"""The name of the file if none is given."""

_WIDTH = 100

_HEAD = """\
# The settings of ingestor. Remove the "# " before an option to set it. Flags override environment variables, which
# override this file. `ingestor config --config FILE` shows what is in effect, and `ingestor run --help` explains more.
# Times are in seconds.
"""

_EXAMPLES: Mapping[str, object] = {
    "region": "us-ashburn-1",
    "endpoint": "https://aidp.example.com",
    "platform_id": "ocid1.aidataplatform.oc1.iad.example",
    "workspace": "my-workspace",
    "tracking_uri": "https://mlflow.example.com",
    "dh_user_principal": "someone@example.com",
    "ca_file": "/etc/ssl/private-ca.pem",
    "bearer_token_file": "/var/run/secrets/ingestor/token",
    "basic_username": "nightly",
    "accept": "unix:/run/ingestor/accept.sock",
    "accept_token_file": "/var/run/secrets/ingestor/accept-token",
    "rate": 50.0,
    "give_up_after": 3600.0,
    "time_budget": 21600.0,
    "log_max_bytes": 100_000_000,
    "listen": "127.0.0.1:9464",
    "listen_name": "ingestor.example.com",
    "listen_token_file": "/var/run/secrets/ingestor/listen-token",
    "metrics_file": "/var/lib/node_exporter/textfile/ingestor.prom",
}
"""Values of options that have no default. They are comments in the file."""


def write_template(path: str, given: Mapping[str, object]) -> None:
    """Write the file to a path, or to standard output if that is `-`. The options in `given` are set in it.

    Raises UsageError for an invalid option, for a file that exists, and if the file can't be written.
    """
    text = template(load(given).settings, given)
    if path == "-":
        sys.stdout.write(text)
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UsageError(f"{shown(path, WHOLE)} exists already: name another file with --config.") from None
    except OSError as error:
        raise UsageError(f"{shown(path, WHOLE)} can't be written: {error.strerror}.") from None


def template(settings: Settings, given: Mapping[str, object]) -> str:
    """Return a settings file with all options: those in `given` with their values, the others as comments."""
    values = settings.model_dump(mode="json")
    parts = [_HEAD]
    for title, fields in groupby(Settings.model_fields.items(), key=lambda item: option_of(item[1]).group):
        parts.append(f"# {title} {'-' * (_WIDTH - len(title) - 3)}\n")
        parts += [
            "\n".join(_entry(name, field, values[name] if name in given else None)) + "\n" for name, field in fields
        ]
    return "\n".join(parts)


def _entry(name: str, field: FieldInfo, value: object) -> Iterator[str]:
    if option_of(field).secret:
        yield from _comment(f"Not in this file: {field.description}. Set {variable_of(name)}.")
        return
    default = default_of(field)
    yield from _comment(description_of(field) + (f" Default: {default}." if default else ""))
    if value is not None:
        yield f"{name} = {_toml(value)}"
    else:
        yield f"# {name} = {_toml(_example(name, field))}"


def _example(name: str, field: FieldInfo) -> object:
    """Return the value that a comment shows: the default, or an example."""
    if name in _EXAMPLES:
        return _EXAMPLES[name]
    value = Settings.model_validate({}).model_dump(mode="json")[name]
    return default_of(field) if value is None else value


def _comment(text: str) -> Iterator[str]:
    for line in wrap(text, _WIDTH - 2, break_long_words=False, break_on_hyphens=False):
        yield f"# {line}"


def _toml(value: object) -> str:
    """Return a value as TOML: a JSON string, number or boolean is also one of TOML."""
    return json.dumps(value)
