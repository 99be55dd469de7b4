"""Credentials from a profile of an OCI config file: an API key, or a session token that others keep fresh."""

import base64
import configparser
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import SecretStr

from ingestor.api.renewal import PAUSE, Lease
from ingestor.api.signing import Identity
from ingestor.model.errors import CredentialsError

_WRITERS = {"security_token_file": "oci session authenticate"}
"""What writes a field that `oci setup config` does not."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile as it stands in its file. Every error names the file, the profile and the field, never a secret."""

    file: str
    name: str
    fields: Mapping[str, object] = field(repr=False)

    def value(self, key: str) -> str:
        """Return a field that must be there, in the form the SDK demands of it. Raises CredentialsError."""
        from oci.config import PATTERNS  # noqa: PLC0415 -- importing oci takes a second

        value = str(self.fields.get(key) or "")
        if not value:
            raise self.error(key, f"is missing: `{_WRITERS.get(key, 'oci setup config')}` writes it")
        if key in PATTERNS and not PATTERNS[key].match(value):
            raise self.error(key, "is malformed")
        return value

    def content(self, key: str) -> bytes:
        """Return the content of the file that a field names. Raises CredentialsError."""
        path = Path(self.value(key)).expanduser()
        try:
            return path.read_bytes().strip()
        except OSError as error:
            raise self.error(key, f"names {path}, which can't be read ({error.strerror})") from None

    def private_key(self, pem: bytes, passphrase: SecretStr | None) -> RSAPrivateKey:
        """Read the key, with the passphrase given or the profile's own. Raises CredentialsError."""
        from oci.exceptions import InvalidPrivateKey, MissingPrivateKeyPassphrase  # noqa: PLC0415 -- as above
        from oci.signer import load_private_key  # noqa: PLC0415 -- as above

        secret = passphrase.get_secret_value() if passphrase else self.fields.get("pass_phrase")
        try:
            key = load_private_key(pem, secret)
        except MissingPrivateKeyPassphrase:
            raise self.error(
                "key_file", "names an encrypted key: give INGESTOR_OCI_PASSPHRASE, or pass_phrase"
            ) from None
        except (InvalidPrivateKey, UnsupportedAlgorithm, ValueError, TypeError):
            raise self.error("key_file", "names no private key in PEM form, or the passphrase is wrong") from None
        if not isinstance(key, RSAPrivateKey):
            raise self.error("key_file", "names a key that is not RSA")
        return key

    def error(self, key: str, problem: str) -> CredentialsError:
        """Say what is wrong with a field."""
        return CredentialsError(f"{self.file}, profile [{self.name}]: {key} {problem}.")


def read_profile(file: Path | None, name: str) -> Profile:
    """Read a profile as the SDK does: without `file` from ~/.oci/config, else from where OCI_CONFIG_FILE says.

    Raises CredentialsError.
    """
    from oci import config, exceptions  # noqa: PLC0415 -- importing oci takes a second

    shown = str(file or config.DEFAULT_LOCATION)
    try:
        return Profile(shown, name, config.from_file(shown, name))
    except exceptions.ConfigFileNotFound:
        problem = "there is no readable OCI config file here: `oci setup config` makes one, --oci-config names one"
    except exceptions.ProfileNotFound:
        problem = f"there is no profile [{name}] in this OCI config file: --oci-profile names one"
    except exceptions.InvalidKeyFilePath:
        problem = f"profile [{name}]: key_file names a file that is not there"
    except (configparser.Error, ValueError, OSError):  # their texts quote the file, secrets and all
        problem = "this is not a valid OCI config file: `oci setup config` makes one"
    raise CredentialsError(f"{shown}: {problem}.")


def load_api_key(file: Path | None, name: str, passphrase: SecretStr | None) -> Lease[Identity]:
    """Load the identity of an API key. Raises CredentialsError."""
    profile = read_profile(file, name)
    key_id = "/".join(profile.value(key) for key in ("tenancy", "user", "fingerprint"))
    return Lease(Identity(key_id, profile.private_key(profile.content("key_file"), passphrase)))


class SessionToken:
    """A session token and its key, watched: `oci session refresh` may replace them at any time."""

    def __init__(
        self, file: Path | None, name: str, passphrase: SecretStr | None, now: Callable[[], float] = time.time
    ) -> None:
        self._file = file
        self._name = name
        self._passphrase = passphrase
        self._now = now
        self._read: tuple[bytes, bytes] | None = None
        self._identity: Identity

    def load(self) -> Lease[Identity]:
        """Load what the files hold now. Raises CredentialsError, for an expired token too."""
        profile = read_profile(self._file, self._name)
        read = (profile.content("security_token_file"), profile.content("key_file"))
        if read != self._read:
            token = read[0].decode(errors="replace")
            self._identity = Identity(f"ST${token}", profile.private_key(read[1], self._passphrase))
            self._read = read
        return Lease(self._identity, renew_at=self._now() + PAUSE, expires_at=self._expiry(profile))

    def _expiry(self, profile: Profile) -> float:
        try:
            expiry = token_expiry(self._identity.key_id)
        except ValueError:
            raise profile.error("security_token_file", "names a file that holds no session token") from None
        if expiry <= self._now():
            ended = datetime.fromtimestamp(expiry, UTC).isoformat(timespec="seconds")
            problem = f"names a token that expired at {ended}: run `oci session authenticate`"
            raise profile.error("security_token_file", problem)
        return expiry


def token_expiry(token: str) -> float:
    """Return when a JWT expires, in seconds since the epoch. Raises ValueError for what is none."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return float(claims["exp"])
    except (LookupError, TypeError):
        raise ValueError("not a JWT with an expiry") from None
