"""The credentials: whether they can be loaded, who else can read them, and when they expire."""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import isfinite

from ingestor.api.credentials import make_signer
from ingestor.api.exposure import exposed_files
from ingestor.api.options import AuthOptions
from ingestor.api.principals import PRINCIPALS, check_place
from ingestor.api.profile import token_expiry
from ingestor.api.values import AuthKind
from ingestor.app.doctor.finding import Finding, ok, problem, warning
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.report.text import spell_duration

_SOON = 600.0  # seconds; a token that expires earlier may not last for a run that nobody renews it for

_CHECKED = {
    AuthKind.API_KEY: "the API key can be read, and the fingerprint is that of the key",
    AuthKind.SESSION_TOKEN: "the session token and its key can be read",
    AuthKind.BEARER: "the bearer token can be read",
    AuthKind.BASIC: "user and password are set",
    AuthKind.NONE: "no credentials are sent",
}


def credentials(subject: Subject, facts: Facts) -> Sequence[Finding]:
    """Load the credentials as a run does. A principal fetches its token, unless nothing may be sent."""
    target = subject.known_target
    auth = target.auth
    found = [warning(it) for it in exposed_files(auth, subject.tokens.values())]
    if auth.kind in PRINCIPALS:
        check_place(auth.kind)
    if subject.offline and auth.kind not in _CHECKED:
        return [*found, ok(f"{auth.kind}: its token is fetched from the network, so it was not checked")]
    signer = make_signer(auth, is_rehearsal=target.endpoint.is_on_this_machine, ca_file=target.ca_file)
    lease = signer.load()
    facts.has_credentials = True
    if lease is None:
        return [*found, ok(f"{auth.kind}: {_CHECKED[AuthKind.NONE]}")]
    facts.redactor.add(*lease.secrets)
    if lease.doubt:
        return [*found, warning(lease.doubt, why="A simulator accepts it, and AIDP would not.")]
    expiry = min(lease.expires_at, _expiry_of_bearer(auth, lease.value))
    words = f"{auth.kind}: {_CHECKED.get(auth.kind, 'a token was fetched')}"
    return [*found, *_life(words, expiry, auth, time.time())]


def _expiry_of_bearer(auth: AuthOptions, value: object) -> float:
    """Return when a bearer token expires, if it says so."""
    if auth.kind is AuthKind.BEARER and isinstance(value, str):
        try:
            return token_expiry(value)
        except ValueError:
            pass
    return float("inf")


def _life(words: str, expiry: float, auth: AuthOptions, now: float) -> Iterator[Finding]:
    if not isfinite(expiry):
        yield ok(words)
        return
    at = datetime.fromtimestamp(expiry, UTC).isoformat(timespec="seconds")
    if expiry <= now:
        yield problem(f"{words}, and the token expired at {at}", advice="Write a new token.")
        return
    words = f"{words}; the token expires at {at}, in {spell_duration(expiry - now)}"
    is_renewed = auth.kind not in (AuthKind.BEARER, AuthKind.SESSION_TOKEN)
    yield ok(words) if is_renewed or expiry - now > _SOON else warning(words, advice="Renew it before a long run.")
