"""What the journal keeps of how an execution was started: its sources, its settings with secrets masked, versions."""

import platform
from collections.abc import Sequence
from dataclasses import fields

from ingestor import __version__
from ingestor.api.values import MASK
from ingestor.app.options import BatchOptions
from ingestor.app.target import Target
from ingestor.journal.database import SQLITE_VERSION
from ingestor.model.history import Description
from ingestor.model.text import storable

_MOST_SOURCES = 20
_LONGEST = 500  # characters of a name or a value


def description_of(
    target: Target, options: BatchOptions, sources: Sequence[str], *, continues: bool = False
) -> Description:
    """Return the description of an execution. No value of it is a secret."""
    return Description(
        command="resume" if continues else "run",
        sources=[_short(name) for name in sources[:_MOST_SOURCES]],
        other_sources=max(0, len(sources) - _MOST_SOURCES),
        settings={name: _short(value) for name, value in settings_of(target, options).items()},
        versions=versions(),
    )


def settings_of(target: Target, options: BatchOptions) -> dict[str, str]:
    """Return the settings in effect, by name, as text. Secrets are masked; "" is a setting that is not set."""
    auth = target.auth
    where = {
        "endpoint": target.endpoint.display,
        "platform_id" if not target.is_server else "tracking_uri": target.platform,
        "workspace": target.workspace,
        "auth": auth.kind.value,
        "oci_config": auth.oci_config,
        "oci_profile": auth.oci_profile,
        "oci_passphrase": _masked(auth.passphrase),
        "bearer_token": _masked(auth.bearer_token),
        "bearer_token_file": auth.bearer_token_file,
        "basic_username": auth.basic_username,
        "basic_password": _masked(auth.basic_password),
        "dh_user_principal": _masked(target.user_principal),
    }
    how = {field.name: getattr(options, field.name) for field in fields(options)}
    files = {"log": options.log_path, "rejects": options.rejects_path, "state": options.state.absolute()}
    return {name: "" if value is None else str(value) for name, value in (where | how | files).items()}


def versions() -> dict[str, str]:
    """Return the versions of what runs, by name."""
    return {
        "ingestor": __version__,
        "Python": platform.python_version(),
        "SQLite": SQLITE_VERSION,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _masked(value: object) -> str | None:
    return None if value is None else MASK


def _short(text: str) -> str:
    return storable(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
