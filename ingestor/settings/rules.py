"""Which settings fit together. Rules name options by `spell`, so that users read what they wrote."""

from collections.abc import Callable, Iterator, Mapping

from ingestor.settings.options import flag_of, variable_of
from ingestor.settings.values import Auth

Values = Mapping[str, object]
"""Options by name. An option that is not set is absent or None."""
Spell = Callable[[str], str]
"""How to name an option in a message."""

_TARGETS = ("region", "endpoint", "tracking_uri")
_AIDP_ONLY = ("platform_id", "workspace")
_TOKENS = ("bearer_token", "bearer_token_file")


def target_problems(values: Values, spell: Spell) -> Iterator[str]:
    """Yield every problem that prevents sending."""
    given = [name for name in _TARGETS if values.get(name)]
    if not given:
        yield "the target is missing: give --region or --endpoint (AIDP), or --tracking-uri (MLflow)"
    elif len(given) > 1:
        yield f"{_listed(given, spell)}: give only one of them"
    elif given == ["tracking_uri"]:
        yield from _aidp_options_of_a_server(values, spell)
    else:
        yield from _missing(values, spell(given[0]))
    if values.get("auth") == Auth.BEARER:
        yield from _bearer_problems(values, spell)


def _aidp_options_of_a_server(values: Values, spell: Spell) -> Iterator[str]:
    for name in _AIDP_ONLY:
        if values.get(name):
            yield f"{spell(name)}: is for AIDP and not for {spell('tracking_uri')}: remove one of the two"


def _missing(values: Values, target: str) -> Iterator[str]:
    for name in _AIDP_ONLY:
        if not values.get(name):
            yield f"{flag_of(name)} is missing: {target} needs it"


def _bearer_problems(values: Values, spell: Spell) -> Iterator[str]:
    given = [name for name in _TOKENS if values.get(name)]
    if not given:
        yield f"the token is missing: bearer needs {variable_of('bearer_token')} or {flag_of('bearer_token_file')}"
    elif len(given) > 1:
        yield f"{_listed(given, spell)}: give only one of them"


def unused_tokens(values: Values, spell: Spell) -> Iterator[str]:
    """Yield a warning for each token that is not sent, because another authentication is set."""
    for name in _TOKENS:
        if values.get(name) and values.get("auth") != Auth.BEARER:
            yield f"{spell(name)} is not used: it needs {flag_of('auth')} {Auth.BEARER}"


def _listed(names: list[str], spell: Spell) -> str:
    return " and ".join(spell(name) for name in names)
