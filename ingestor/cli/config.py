"""`ingestor config`: the settings in effect and where each came from, or a new settings file."""

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ingestor.api.values import MASK
from ingestor.app.messages import print_result, warn
from ingestor.cli.target import problems_before_a_request, target_of
from ingestor.cli.template import TEMPLATE_NAME, write_template
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.text import WHOLE
from ingestor.settings.load import Loaded
from ingestor.settings.options import Settings, option_of
from ingestor.settings.places import Given, Place
from ingestor.settings.values import Output
from ingestor.settings.wording import shown

if TYPE_CHECKING:
    from ingestor.api.proxy import Proxy


def init(settings: Mapping[str, object], config: str | None) -> int:
    """Write a settings file. Raises UsageError if there is one already."""
    path = TEMPLATE_NAME if config is None else config
    write_template(path, settings)
    if path != "-":
        print_result(f"{path} is written. Fill it in; then `ingestor config --config {path}` shows what is in effect.")
    return ExitCode.OK


def config(loaded: Loaded) -> int:
    """Print all settings, and warn of what `run` needs in addition. Raises UsageError."""
    sys.stdout.write(f"{show(loaded)}\n")
    sys.stdout.flush()
    warn_of_the_target(loaded)
    return ExitCode.OK


def warn_of_the_target(loaded: Loaded) -> None:
    """Warn of everything that a run needs in addition. Raises UsageError for what is wrong in any case."""
    for problem in problems_before_a_request(loaded):
        warn(f"run needs more: {problem}")


def show(loaded: Loaded) -> str:
    """Return all settings and the proxy, secrets masked, in the form that the option `output` names.

    A table begins with what is set.
    """
    values = _values(loaded.settings)
    given = dict(loaded.given)
    if (proxy := _proxy(loaded.settings)) is not None:  # the environment names it, and it is no setting
        given["proxy"] = Given(Place.ENVIRONMENT, proxy.variable)
    values["proxy"] = None if proxy is None else proxy.display
    return _as_json(values, given) if loaded.settings.output is Output.JSON else _as_table(values, given)


def _values(settings: Settings) -> dict[str, object]:
    values: dict[str, object] = settings.model_dump(mode="json")
    secrets = {name for name, field in Settings.model_fields.items() if option_of(field).secret}
    return {name: MASK if name in secrets and value is not None else value for name, value in values.items()}


def _proxy(settings: Settings) -> "Proxy | None":
    """Return the proxy in use; None, too, as long as the address is not known. Raises UsageError for a wrong one."""
    from ingestor.api.proxy import proxy_for

    try:
        address = target_of(settings).endpoint.url("")
    except UsageError:
        return None
    return proxy_for(address)


def _as_json(values: Mapping[str, object], given: Mapping[str, Given]) -> str:
    default = Given(Place.DEFAULT, "")
    origins = {name: given.get(name, default) for name in values}
    rows = {
        name: {"value": value, "from": origins[name].place, "name": origins[name].name or None}
        for name, value in values.items()
    }
    return json.dumps(rows, indent=2)


def _as_table(values: Mapping[str, object], given: Mapping[str, Given]) -> str:
    names = sorted(values, key=lambda name: name not in given)
    rows = [
        (name, _text(name, values[name]), given[name].name if name in given else Place.DEFAULT.value) for name in names
    ]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}" for name, value, origin in rows)


def _text(name: str, value: object) -> str:
    if value is not None:
        return shown(value, WHOLE)
    field = Settings.model_fields.get(name)
    return f"({(option_of(field).default if field else 'none') or 'not set'})"
