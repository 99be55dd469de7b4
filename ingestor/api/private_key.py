"""RSA private keys in PEM form. Each error says what is wrong with the file, and never its content."""

import hashlib
import re
from functools import lru_cache
from typing import TYPE_CHECKING, cast

from ingestor.api.credential_files import FileError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

SMALLEST_KEY = 2048
"""Bits that an RSA key must have, by the documentation of OCI's API keys."""

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")
_END = re.compile(rb"-----END [A-Z0-9 ]+-----")
_WORDS = {
    "CERTIFICATE": "holds a certificate: name the file of the private key",
    "OPENSSH PRIVATE KEY": "holds a key in OpenSSH's form: `ssh-keygen -p -m PEM -f FILE` converts it",
}


def parse_key(pem: bytes, passphrase: str | None) -> "RSAPrivateKey":
    """Return the key of a file's content. Raises FileError.

    A passphrase that is not needed is ignored: it may belong to the key of another profile.
    """
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey  # noqa: PLC0415 - few credentials need it

    key = _parse(pem, passphrase)
    if not isinstance(key, RSAPrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey")
        raise FileError(f"holds a private key of the kind {kind}: OCI needs an RSA key")
    if key.key_size < SMALLEST_KEY:
        raise FileError(f"holds an RSA key of {key.key_size:,} bits: OCI needs {SMALLEST_KEY:,} or more")
    return key


@lru_cache(maxsize=1)
def fingerprint(key: "RSAPrivateKey") -> str:
    """Return the fingerprint that OCI gives to a key: the MD5 digest of the public key."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat  # noqa: PLC0415 - as above

    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.md5(public, usedforsecurity=False).digest().hex(":")


@lru_cache(maxsize=1)
def _parse(pem: bytes, passphrase: str | None) -> object:
    """Parse a private key; the same one only once, because that takes long and a session's is read again and again."""
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - as above
    from cryptography.hazmat.primitives.serialization import load_pem_private_key  # noqa: PLC0415 - as above

    secret = passphrase.encode(errors="surrogateescape") if passphrase else None
    try:
        try:
            return load_pem_private_key(pem, secret)
        except TypeError:
            if secret is None:
                raise
            return load_pem_private_key(pem, None)
    except TypeError:
        raise FileError("holds an encrypted key: set INGESTOR_OCI_PASSPHRASE, or pass_phrase in the profile") from None
    except UnsupportedAlgorithm:
        raise FileError("holds a key of a kind, or with an encryption, that is not supported") from None
    except ValueError as error:
        raise FileError(_problem(pem, str(error))) from None


def _problem(pem: bytes, reason: str) -> str:
    """Return why a content is no private key, from the names of its PEM blocks."""
    blocks = [cast("bytes", name).decode() for name in _BLOCK.findall(pem)]
    if "Incorrect password" in reason:
        return "holds an encrypted key, and the passphrase is wrong"
    for name in blocks:
        if name in _WORDS:
            return _WORDS[name]
    if any(name.endswith("PUBLIC KEY") for name in blocks) or pem.startswith(b"ssh-"):
        return "holds a public key: name the file of the private key"
    if not blocks:
        return "holds no private key in PEM form: it has no line -----BEGIN PRIVATE KEY-----"
    if not _END.search(pem):
        return "holds a part of a private key only: its line -----END PRIVATE KEY----- is missing"
    return "holds no valid private key in PEM form: it is damaged, or its lines were joined or changed"
