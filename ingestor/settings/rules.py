"""Which settings fit together. A rule names options through `spell`, so that users read what they wrote."""

from collections.abc import Callable, Iterator, Mapping

from ingestor.model.errors import UsageError
from ingestor.settings.options import Settings, flag_of, variable_of
from ingestor.settings.values import Auth

Values = Mapping[str, object]
"""Options by name; one that is not set is absent or None."""
Spell = Callable[[str], str]
"""How to name an option in a message."""

_TARGETS = ("region", "endpoint", "tracking_uri")
_AIDP_ONLY = ("platform_id", "workspace")
_TOKENS = ("bearer_token", "bearer_token_file")


def require_target(settings: Settings) -> None:
    """Raise UsageError where the settings do not name one target, whole, and a way to authenticate to it."""
    problems = [*target_problems(dict(settings), flag_of)]
    if problems:
        raise UsageError("\n".join(problems))


def target_problems(values: Values, spell: Spell) -> Iterator[str]:
    """Tell everything that keeps requests from being sent."""
    given = [name for name in _TARGETS if values.get(name)]
    if not given:
        yield "where to send is missing: give --region or --endpoint (AIDP), or --tracking-uri (MLflow)"
    elif len(given) > 1:
        yield f"{_listed(given, spell)}: give only one of them"
    elif given == ["tracking_uri"]:
        yield from _left_over(values, spell)
    else:
        yield from _missing(values, spell(given[0]))
    if values.get("auth") == Auth.BEARER:
        yield from _bearer_problems(values, spell)


def _left_over(values: Values, spell: Spell) -> Iterator[str]:
    for name in _AIDP_ONLY:
        if values.get(name):
            yield f"{spell(name)}: belongs to AIDP and not to {spell('tracking_uri')}: take one of the two away"


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


def idle_tokens(values: Values, spell: Spell) -> Iterator[str]:
    """Tell of a token that will not be sent, because the authentication is another."""
    for name in _TOKENS:
        if values.get(name) and values.get("auth") != Auth.BEARER:
            yield f"{spell(name)} is not used: that takes {flag_of('auth')} {Auth.BEARER}"


def _listed(names: list[str], spell: Spell) -> str:
    return " and ".join(spell(name) for name in names)
