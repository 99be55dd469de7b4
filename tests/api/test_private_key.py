import hashlib
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from ingestor.api.credential_files import FileError
from ingestor.api.private_key import fingerprint, parse_key
from tests.api.conftest import certificate, pem


def refusal(content: bytes, passphrase: str | None = None) -> str:
    with pytest.raises(FileError) as caught:
        parse_key(content, passphrase)
    return str(caught.value)


def test_every_pem_form_of_an_rsa_key_is_read(key: RSAPrivateKey) -> None:
    plain = pem(key)
    old = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    old_sealed = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"open"))
    numbers = key.private_numbers()
    for content in (plain, old, plain.replace(b"\n", b"\r\n"), plain + b"OCI_API_KEY", certificate(key) + plain):
        assert parse_key(content, None).private_numbers() == numbers
        assert parse_key(content, "not needed").private_numbers() == numbers
    for content in (pem(key, "open"), old_sealed):
        assert parse_key(content, "open").private_numbers() == numbers


def test_a_passphrase_may_be_any_text(key: RSAPrivateKey) -> None:
    for passphrase in ("ö pen", "x" * 500):
        assert parse_key(pem(key, passphrase), passphrase).private_numbers() == key.private_numbers()


def test_a_missing_and_a_wrong_passphrase_are_different_errors(key: RSAPrivateKey) -> None:
    sealed = pem(key, "open sesame")
    missing = "holds an encrypted key: set INGESTOR_OCI_PASSPHRASE, or pass_phrase in the profile"
    assert refusal(sealed) == refusal(sealed, "") == missing
    for wrong in ("s3cret", "\udcff", "x" * 5000):
        assert refusal(sealed, wrong) == "holds an encrypted key, and the passphrase is wrong"


def test_a_public_key_is_named_as_such(key: RSAPrivateKey) -> None:
    for encoding, form in (
        (Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        (Encoding.PEM, PublicFormat.PKCS1),
        (Encoding.OpenSSH, PublicFormat.OpenSSH),
    ):
        public = key.public_key().public_bytes(encoding, form)
        assert refusal(public) == "holds a public key: name the file of the private key"


def test_files_of_other_kinds_are_named_as_such(key: RSAPrivateKey) -> None:
    openssh = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert refusal(certificate(key)) == "holds a certificate: name the file of the private key"
    assert refusal(openssh) == "holds a key in OpenSSH's form: `ssh-keygen -p -m PEM -f FILE` converts it"
    for content in (der, b"s3cret", b"{}"):
        assert refusal(content) == "holds no private key in PEM form: it has no line -----BEGIN PRIVATE KEY-----"


def test_a_damaged_key_is_named_as_such(key: RSAPrivateKey) -> None:
    lines = pem(key).splitlines(keepends=True)
    assert refusal(b"".join(lines[:-1])) == (
        "holds a part of a private key only: its line -----END PRIVATE KEY----- is missing"
    )
    for content in (b"".join(lines[:9] + lines[-1:]), pem(key).replace(b"\n", b"\\n")):
        assert refusal(content).startswith("holds no valid private key in PEM form")


def test_a_key_that_oci_does_not_accept_is_refused() -> None:
    curve = generate_ec_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    edwards = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    short = pem(generate_private_key(public_exponent=65537, key_size=1024))  # noqa: S505 - it is refused
    assert refusal(curve) == "holds a private key of the kind EC: OCI needs an RSA key"
    assert refusal(edwards) == "holds a private key of the kind Ed25519: OCI needs an RSA key"
    assert refusal(short) == "holds an RSA key of 1,024 bits: OCI needs 2,048 or more"


def test_a_fingerprint_is_the_one_that_openssl_computes_as_oci_documents_it(key: RSAPrivateKey) -> None:
    command = ["openssl", "rsa", "-pubout", "-outform", "DER"]
    public = subprocess.run(command, input=pem(key), capture_output=True, check=True).stdout
    assert fingerprint(key) == hashlib.md5(public, usedforsecurity=False).digest().hex(":")


def test_only_credentials_with_a_key_load_the_code_that_parses_keys() -> None:
    program = (
        "import sys, ingestor.api.private_key; sys.exit(any(name.startswith('cryptography') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
