"""`ingestor config`: the settings in effect, and where each came from."""

import json

from ingestor.settings.load import Loaded, Place
from ingestor.settings.options import Settings, option_of
from ingestor.settings.values import Output
from ingestor.settings.wording import WHOLE, shown

MASK = "********"


def show(loaded: Loaded) -> str:
    """Return all settings, secrets masked, in the form that the option `output` names."""
    return _as_json(loaded) if loaded.settings.output is Output.JSON else _as_table(loaded)


def _values(settings: Settings) -> dict[str, object]:
    values: dict[str, object] = settings.model_dump(mode="json")
    secrets = {name for name, field in Settings.model_fields.items() if option_of(field).secret}
    return {name: MASK if name in secrets and value is not None else value for name, value in values.items()}


def _as_json(loaded: Loaded) -> str:
    rows = {
        name: {
            "value": value,
            "from": loaded.given[name].place if name in loaded.given else Place.DEFAULT,
            "name": loaded.given[name].name if name in loaded.given else None,
        }
        for name, value in _values(loaded.settings).items()
    }
    return json.dumps(rows, indent=2)


def _as_table(loaded: Loaded) -> str:
    rows = [
        (name, _text(name, value), loaded.spell(name) if name in loaded.given else str(Place.DEFAULT))
        for name, value in _values(loaded.settings).items()
    ]
    names, values = (max(len(row[column]) for row in rows) for column in (0, 1))
    return "\n".join(f"{name:{names}}  {value:{values}}  {origin}" for name, value, origin in rows)


def _text(name: str, value: object) -> str:
    if value is None:
        return f"({option_of(Settings.model_fields[name]).default or 'not set'})"
    return shown(value, WHOLE)
