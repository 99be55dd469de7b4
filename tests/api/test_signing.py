import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oci._vendor import requests
from oci.auth.signers import SecurityTokenSigner
from oci.signer import AbstractBaseSigner, Signer
from yarl import URL

from ingestor.api.options import aidp
from ingestor.api.signing import Anonymous, BearerSigner, Identity, Lease, RequestSigner, signed_headers
from tests.api.conftest import FINGERPRINT, TENANCY, USER, Clock, pem

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
KEY_ID = f"{TENANCY}/{USER}/{FINGERPRINT}"
URL_ = aidp(endpoint="https://h.example:8443", platform_id="ocid1.x", workspace="a b/ü").url("runs/create")


def sdk_headers(signer: AbstractBaseSigner, url: URL, body: bytes) -> dict[str, str]:
    prepared = requests.Request("POST", str(url), data=body, headers={"date": DATE}).prepare()
    prepared.headers.setdefault("content-length", "0")
    return {name.lower(): value for name, value in signer.do_request_sign(prepared).headers.items()}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=300),
    workspace=st.text(min_size=1).filter(lambda text: text.isprintable() and text.strip(".")),
)
def test_signatures_are_the_sdks_byte_for_byte(key: RSAPrivateKey, body: bytes, workspace: str) -> None:
    url = aidp(endpoint="https://h.example", platform_id="ocid1.x", workspace=workspace).url("runs/create")
    theirs = sdk_headers(Signer(TENANCY, USER, FINGERPRINT, None, private_key_content=pem(key)), url, body)
    assert signed_headers(Identity(KEY_ID, key), "POST", url, body, DATE) == theirs


@pytest.mark.parametrize(
    "base", ["https://h.example:8443", "https://h.example:443", "http://[::1]:80", "http://127.0.0.1:5000/api"]
)
def test_hosts_with_ports_are_signed_as_the_sdk_signs_them(key: RSAPrivateKey, base: str) -> None:
    url = aidp(endpoint=base, platform_id="ocid1.x", workspace="ws").url("runs/create")
    theirs = sdk_headers(Signer(TENANCY, USER, FINGERPRINT, None, private_key_content=pem(key)), url, b"{}")
    assert signed_headers(Identity(KEY_ID, key), "POST", url, b"{}", DATE) == theirs


def test_a_session_token_signs_as_the_sdk_does(key: RSAPrivateKey) -> None:
    theirs = sdk_headers(SecurityTokenSigner("a.b.c", key), URL_, b"{}")
    assert signed_headers(Identity("ST$a.b.c", key), "POST", URL_, b"{}", DATE) == theirs


def test_a_get_is_signed_without_a_body_as_the_sdk_signs_it(key: RSAPrivateKey) -> None:
    url = URL(f"{URL_}?experiment_id=a%20b", encoded=True)
    prepared = requests.Request("GET", str(url), headers={"date": DATE}).prepare()
    signer = Signer(TENANCY, USER, FINGERPRINT, None, private_key_content=pem(key))
    theirs = {name.lower(): value for name, value in signer.do_request_sign(prepared).headers.items()}
    del theirs["content-type"]  # the SDK sends it unsigned; a GET has no content
    assert signed_headers(Identity(KEY_ID, key), "GET", url, b"", DATE) == theirs


async def test_every_signature_has_the_time_at_which_it_is_made(key: RSAPrivateKey, clock: Clock) -> None:
    signer = RequestSigner(lambda: Lease(Identity(KEY_ID, key)), clock)
    await signer.open()
    assert await signer.headers("POST", URL_, b"{}") == signed_headers(Identity(KEY_ID, key), "POST", URL_, b"{}", DATE)
    clock.time += 61
    later = await signer.headers("POST", URL_, b"{}")
    assert later["date"] == "Tue, 14 Nov 2023 22:14:21 GMT"
    await signer.aclose()


def test_an_identity_shows_neither_key_nor_token(key: RSAPrivateKey) -> None:
    assert repr(Identity("ST$secret", key)) == "Identity()"


async def test_a_bearer_signer_sends_its_token() -> None:
    signer = BearerSigner(lambda: Lease("t0k3n"))
    assert await signer.headers("POST", URL_, b"{}") == {"authorization": "Bearer t0k3n"}
    assert await signer.renew() is False
    await signer.aclose()


async def test_an_anonymous_signer_adds_nothing_and_can_not_be_renewed() -> None:
    signer = Anonymous()
    await signer.open()
    assert await signer.headers("POST", URL_, b"{}") == {}
    assert await signer.renew() is False
    await signer.aclose()
