"""Credentials from a profile of an OCI config file: an API key, or a session token that another program refreshes."""

import base64
import configparser
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import SecretStr

from ingestor.api.options import AuthOptions
from ingestor.api.signing import RENEWAL_INTERVAL, Identity, Lease
from ingestor.model.errors import CredentialsError

_WRITERS = {"security_token_file": "oci session authenticate"}
"""The command that writes a field, if it is not `oci setup config`."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile, as read from its file. Every error names the file, the profile and the field, never a secret."""

    file: str
    name: str
    fields: Mapping[str, object] = field(repr=False)

    def value(self, key: str) -> str:
        """Return a field that must exist, in the form that the SDK requires. Raises CredentialsError."""
        from oci.config import PATTERNS  # noqa: PLC0415 -- importing oci takes a second

        value = str(self.fields.get(key) or "")
        if not value:
            raise self.error(key, f"is missing: `{_WRITERS.get(key, 'oci setup config')}` writes it")
        if key in PATTERNS and not PATTERNS[key].match(value):
            raise self.error(key, "is malformed")
        return value

    def content(self, key: str) -> bytes:
        """Return the content of the file that a field names, stripped. Raises CredentialsError."""
        path = Path(self.value(key)).expanduser()
        try:
            return path.read_bytes().strip()
        except OSError as error:
            raise self.error(key, f"names {path}, which can't be read ({error.strerror})") from None

    def private_key(self, passphrase: SecretStr | None) -> RSAPrivateKey:
        """Read the key, with `passphrase` or else the profile's own. Raises CredentialsError."""
        from oci.exceptions import InvalidPrivateKey, MissingPrivateKeyPassphrase  # noqa: PLC0415 -- as above

        secret = passphrase.get_secret_value() if passphrase else self.fields.get("pass_phrase")
        try:
            key = _parse_key(self.content("key_file"), secret)
        except MissingPrivateKeyPassphrase:
            raise self.error(
                "key_file", "names an encrypted key: set INGESTOR_OCI_PASSPHRASE, or pass_phrase in the profile"
            ) from None
        except (InvalidPrivateKey, UnsupportedAlgorithm, ValueError, TypeError):
            raise self.error("key_file", "names no private key in PEM form, or the passphrase is wrong") from None
        if not isinstance(key, RSAPrivateKey):
            raise self.error("key_file", "names a key that is not RSA")
        return key

    def error(self, key: str, problem: str) -> CredentialsError:
        """Return an error about a field."""
        return CredentialsError(f"{self.file}, profile [{self.name}]: {key} {problem}.")


def read_profile(file: Path | None, name: str) -> Profile:
    """Read a profile as the SDK does: if `file` is None, from ~/.oci/config, else from OCI_CONFIG_FILE.

    Raises CredentialsError.
    """
    from oci import config, exceptions  # noqa: PLC0415 -- importing oci takes a second

    shown = str(file or config.DEFAULT_LOCATION)
    try:
        return Profile(shown, name, config.from_file(shown, name))
    except exceptions.ConfigFileNotFound:
        problem = "there is no readable OCI config file: write one with `oci setup config`, or set --oci-config"
    except exceptions.ProfileNotFound:
        problem = f"there is no profile [{name}] in this OCI config file: set --oci-profile"
    except exceptions.InvalidKeyFilePath:
        problem = f"profile [{name}]: key_file names a file that does not exist"
    except (configparser.Error, ValueError, OSError):  # their texts quote the file and its secrets
        problem = "this is not a valid OCI config file: write one with `oci setup config`"
    raise CredentialsError(f"{shown}: {problem}.")


def load_api_key(auth: AuthOptions) -> Lease[Identity]:
    """Load the identity of an API key. Raises CredentialsError."""
    profile = read_profile(auth.oci_config, auth.oci_profile)
    key_id = "/".join(profile.value(key) for key in ("tenancy", "user", "fingerprint"))
    return Lease(Identity(key_id, profile.private_key(auth.passphrase)))


def load_session_token(auth: AuthOptions, now: Callable[[], float] = time.time) -> Lease[Identity]:
    """Load a session token and its key. Raises CredentialsError, also for an expired token.

    `oci session refresh` may replace them at any time, so the files are read again every RENEWAL_INTERVAL.
    """
    profile = read_profile(auth.oci_config, auth.oci_profile)
    token = profile.content("security_token_file").decode(errors="replace")
    try:
        expiry = token_expiry(token)
    except ValueError:
        raise profile.error("security_token_file", "names a file that does not hold a session token") from None
    if expiry <= now():
        ended = datetime.fromtimestamp(expiry, UTC).isoformat(timespec="seconds")
        problem = f"names a token that expired at {ended}: run `oci session authenticate`"
        raise profile.error("security_token_file", problem)
    identity = Identity(f"ST${token}", profile.private_key(auth.passphrase))
    return Lease(identity, renew_at=now() + RENEWAL_INTERVAL, expires_at=expiry)


@lru_cache(maxsize=1)
def _parse_key(pem: bytes, passphrase: object) -> object:
    """Parse a private key; the same one only once, because that takes long and a session's is read again and again."""
    from oci.signer import load_private_key  # noqa: PLC0415 -- importing oci takes a second

    return load_private_key(pem, passphrase)


def token_expiry(token: str) -> float:
    """Return when a JWT expires, in seconds since the epoch. Raises ValueError for any other text."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (LookupError, TypeError):
        raise ValueError("not a JWT with an expiry") from None
