"""Which options fit together: the target, the credentials, and what a stronger place replaces of a weaker one."""

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from ingestor.api.values import AuthKind
from ingestor.server.address import address
from ingestor.settings.options import flag_of, variable_of

Values = Mapping[str, object]
"""Options by name. An option that is not set is absent or None."""
Spell = Callable[[str], str]
"""How to name an option in a message."""

TARGETS = ("region", "endpoint", "tracking_uri")
_AIDP_ONLY = ("platform_id", "workspace")
REPLACES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "region": ("endpoint", "tracking_uri"),
        "endpoint": ("region", "tracking_uri"),
        "tracking_uri": ("region", "endpoint", *_AIDP_ONLY),
    }
)
"""Which options of a weaker place a target option replaces."""
_TOKENS = ("bearer_token", "bearer_token_file")
_CREDENTIALS = {AuthKind.BEARER: _TOKENS, AuthKind.BASIC: ("basic_username", "basic_password")}


def target_problems(values: Values, spell: Spell) -> Iterator[str]:
    """Yield every problem that prevents sending."""
    given = [name for name in TARGETS if values.get(name)]
    if not given:
        yield "the target is missing: give --region or --endpoint (AIDP), or --tracking-uri (MLflow)"
    elif len(given) > 1:
        yield f"{_listed(given, spell)}: give only one of them"
    elif given == ["tracking_uri"]:
        yield from _aidp_options_of_a_server(values, spell)
    else:
        yield from _missing(values, spell(given[0]))
    if values.get("auth") == AuthKind.BEARER:
        yield from _bearer_problems(values, spell)
    if values.get("auth") == AuthKind.BASIC:
        yield from _basic_problems(values)


def service_problems(values: Values, spell: Spell) -> Iterator[str]:
    """Yield every problem that prevents following and accepting."""
    if values.get("on_done", "keep") != "keep" and not values.get("follow"):
        yield f"{spell('on_done')}: {flag_of('follow')} is missing: only followed files are deleted or moved"
    where = values.get("accept")
    if not isinstance(where, str):
        return
    if values.get("spool") is False:
        yield f"{spell('spool')}: {spell('accept')} keeps records in the spool: do not switch it off"
    if values.get("follow") is False:
        yield f"{spell('follow')}: {spell('accept')} implies it: do not switch it off"
    if not address(where).is_loopback and not values.get("accept_token_file"):
        yield (
            f"{spell('accept')}: other machines can reach {where}: set {variable_of('accept_token_file')} to a file "
            "with a token that programs must send, or use unix:PATH or 127.0.0.1:PORT"
        )


def _aidp_options_of_a_server(values: Values, spell: Spell) -> Iterator[str]:
    for name in _AIDP_ONLY:
        if values.get(name):
            yield f"{spell(name)}: can't be combined with {spell('tracking_uri')}: remove one of the two"


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


def _basic_problems(values: Values) -> Iterator[str]:
    if not values.get("basic_username"):
        yield f"the user's name is missing: basic needs {flag_of('basic_username')}"
    if not values.get("basic_password"):
        yield f"the password is missing: basic needs {variable_of('basic_password')}"


def unused_credentials(values: Values, spell: Spell) -> Iterator[str]:
    """Yield a warning for each credential that is not sent, because another authentication is set."""
    for kind, names in _CREDENTIALS.items():
        for name in names:
            if values.get(name) and values.get("auth") != kind:
                yield f"{spell(name)} is not used: it needs {flag_of('auth')} {kind}"


def _listed(names: list[str], spell: Spell) -> str:
    return " and ".join(spell(name) for name in names)
