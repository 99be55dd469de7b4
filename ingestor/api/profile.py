"""Credentials from a profile of an OCI config file: an API key, or a session token that another program refreshes.

The file is found and read as OCI's page "SDK and CLI Configuration File" describes it.
"""

import base64
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from types import MappingProxyType

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ingestor.api.credential_files import FileError, expanded, read_content, read_token
from ingestor.api.oci_config import KINDS, ConfigFileError, Section, cli_hints, find_config, read_section
from ingestor.api.options import AuthOptions
from ingestor.api.private_key import fingerprint, parse_key
from ingestor.api.signing import RENEWAL_INTERVAL, Identity, Lease
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError
from ingestor.model.text import WHOLE, printable

_WRITERS = {"security_token_file": "oci session authenticate"}
"""The command that writes a field, if it is not `oci setup config`."""

_OCID = re.compile(r"([0-9A-Za-z_-]+[.:])([0-9A-Za-z_-]*[.:]){3,}[0-9A-Za-z_-]+")
_FORMS: Mapping[str, tuple[re.Pattern[str], str]] = MappingProxyType(
    {
        "tenancy": (_OCID, "it must be an OCID, such as ocid1.tenancy.oc1..aaaa"),
        "user": (_OCID, "it must be an OCID, such as ocid1.user.oc1..aaaa"),
        "fingerprint": (
            re.compile(r"([0-9a-f]{2}:){15}[0-9a-f]{2}"),
            "it must be 16 pairs of the digits 0-9 and a-f, in lower case, with colons between them",
        ),
    }
)
"""What a field must be, as the SDK requires it."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile, as read from its file. Every error names the file, the profile and the field, never a secret."""

    file: str
    name: str
    section: Section = field(repr=False)

    def value(self, key: str) -> str:
        """Return a field that must exist, in the form that the SDK requires. Raises CredentialsError."""
        value = self.section.fields.get(key, "")
        if not value:
            raise self.error(key, f"is missing: `{_WRITERS.get(key, 'oci setup config')}` writes it")
        if value[0] in "\"'":
            raise self.error(key, "is malformed: it is in quotes, which the OCI tools do not remove")
        if "\n" in value:
            raise self.error(key, "is malformed: the next line begins with a space, so it continues this field")
        if value.startswith("<") and value.endswith(">"):
            raise self.error(key, "is malformed: it is the placeholder of an example")
        pattern, rule = _FORMS.get(key, (None, ""))
        if pattern is not None and not pattern.fullmatch(value):
            raise self.error(key, f"is malformed: {rule}")
        return value

    def path(self, key: str) -> Path:
        """Return the path that a field names. Raises CredentialsError."""
        name = self.value(key)
        try:
            return expanded(name)
        except FileError as error:
            raise self.file_error(key, name, error) from None

    def private_key(self, passphrase: str | None) -> RSAPrivateKey:
        """Read the key, with `passphrase` or else the profile's own. Raises CredentialsError."""
        path = self.path("key_file")
        try:
            return parse_key(read_content(path), passphrase)
        except FileError as error:
            raise self.file_error("key_file", path, error) from None

    def session_token(self) -> str:
        """Read the token of a session. Raises CredentialsError."""
        path = self.path("security_token_file")
        try:
            return read_token(path)
        except FileError as error:
            raise self.file_error("security_token_file", path, error) from None

    def passphrase(self, auth: AuthOptions) -> str | None:
        """Return the passphrase of the settings, or else the profile's own."""
        if auth.passphrase is not None:
            return auth.passphrase.get_secret_value()
        return self.section.fields.get("pass_phrase") or None

    def error(self, key: str, problem: str) -> CredentialsError:
        """Return an error about a field."""
        return CredentialsError(f"{self.file}, profile [{self.name}]: {key} {problem}.")

    def file_error(self, key: str, path: Path | str, problem: FileError) -> CredentialsError:
        """Return an error about the file that a field names."""
        if str(problem) == "does not exist":
            return self.error(key, f"names a file that does not exist: {printable(str(path), WHOLE)}")
        return self.error(key, f"names {printable(str(path), WHOLE)}, which {problem}")


def read_profile(auth: AuthOptions) -> Profile:
    """Read the profile that the options name, from the file that they name or that the OCI tools would use.

    Raises CredentialsError.
    """
    name = auth.oci_profile
    shown = printable(str(auth.oci_config or "~/.oci/config"), WHOLE)
    try:
        path = find_config(auth.oci_config)
        shown = printable(str(path), WHOLE)
        return Profile(shown, printable(name, WHOLE), read_section(path, name))
    except FileError as error:
        raise CredentialsError(f"{shown}: the OCI config file {error}.") from None
    except ConfigFileError as error:
        raise CredentialsError(f"{shown}: {error}.") from None


def load_api_key(auth: AuthOptions, *, is_rehearsal: bool = False) -> Lease[Identity]:
    """Load the identity of an API key. Raises CredentialsError.

    A fingerprint that is not the key's own is an error; for a rehearsal, it is a doubt: a simulator knows any key id.
    """
    with _hints(auth):
        lease = _api_key(auth)
        if lease.doubt and not is_rehearsal:
            raise CredentialsError(lease.doubt)
        return lease


def _api_key(auth: AuthOptions) -> Lease[Identity]:
    profile = read_profile(auth)
    _refuse_another_kind(profile, auth.kind)
    key_id = "/".join(profile.value(key) for key in ("tenancy", "user", "fingerprint"))
    passphrase = profile.passphrase(auth)
    key = profile.private_key(passphrase)
    doubt = ""
    if (its := fingerprint(key)) != profile.value("fingerprint"):
        doubt = str(profile.error("fingerprint", f"is not that of the key in key_file, which is {its}"))
    return Lease(Identity(key_id, key), secrets=_known(passphrase), doubt=doubt)


def load_session_token(auth: AuthOptions, now: Callable[[], float] = time.time) -> Lease[Identity]:
    """Load a session token and its key. Raises CredentialsError, also for an expired token.

    `oci session refresh` may replace them at any time, so the files are read again every RENEWAL_INTERVAL.
    """
    with _hints(auth):
        return _session_token(auth, now())


def _session_token(auth: AuthOptions, now: float) -> Lease[Identity]:
    profile = read_profile(auth)
    _refuse_another_kind(profile, auth.kind)
    token = profile.session_token()
    try:
        expiry = token_expiry(token)
    except ValueError:
        raise profile.error("security_token_file", "names a file that does not hold a session token") from None
    if expiry <= now:
        problem = f"names a token that expired at {_spelled(expiry)}: run `oci session authenticate`"
        raise profile.error("security_token_file", problem)
    passphrase = profile.passphrase(auth)
    identity = Identity(f"ST${token}", profile.private_key(passphrase))
    secrets = (identity.key_id, token, *_known(passphrase))
    return Lease(identity, renew_at=now + RENEWAL_INTERVAL, expires_at=expiry, secrets=secrets)


def token_expiry(token: str) -> float:
    """Return when a JWT expires, in seconds since the epoch. Raises ValueError for any other text."""
    if not re.fullmatch(r"[\w=-]+(\.[\w=-]*)+", token, re.ASCII):
        raise ValueError("not a JWT")
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        expiry = float(claims["exp"])
    except (LookupError, TypeError, OverflowError, RecursionError):
        raise ValueError("not a JWT with an expiry") from None
    if not isfinite(expiry):
        raise ValueError("not a JWT with an expiry")
    return expiry


@contextmanager
def _hints(auth: AuthOptions) -> Iterator[None]:
    """Add to an error what the OCI CLI would use instead."""
    try:
        yield
    except CredentialsError as error:
        hints = cli_hints(auth.oci_config, auth.oci_profile, auth.kind)
        raise CredentialsError(" ".join([str(error), *hints])) from None


def _refuse_another_kind(profile: Profile, kind: AuthKind) -> None:
    """Raise CredentialsError if a profile is meant for another kind of credentials."""
    section = profile.section
    made = section.fields["authentication_type"] if "authentication_type" in section.own else ""
    if made and KINDS.get(made, made) != kind:
        fit = f"set --auth {KINDS[made]}" if made in KINDS else "ingestor does not support it: name another profile"
        raise profile.error("authentication_type", f"is {printable(made)}: {fit}")
    if kind is AuthKind.API_KEY and "security_token_file" in section.own and "user" not in section.own:
        raise profile.error(
            "security_token_file",
            "is set and user is not, as `oci session authenticate` does it: set --auth session-token",
        )
    if kind is AuthKind.SESSION_TOKEN and not section.fields.get("security_token_file") and section.fields.get("user"):
        raise profile.error(
            "security_token_file",
            "is missing, and user is set, as for an API key: set --auth api-key, or run `oci session authenticate`",
        )


def _known(passphrase: str | None) -> tuple[str, ...]:
    return () if passphrase is None else (passphrase,)


def _spelled(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return "a time before the calendar"
