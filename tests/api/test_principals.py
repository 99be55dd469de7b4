"""The SDK's real signers, against a metadata service, a federation service and a cluster's proxy on loopback."""

import base64
import gc
import json
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from oci.auth.rpt_path_providers import SuppliedServiceAccountTokenProvider
from oci.auth.signers import (
    InstancePrincipalsSecurityTokenSigner,
    OkeWorkloadIdentityResourcePrincipalSigner,
    get_resource_principals_signer,
)
from oci.retry import NoneRetryStrategy

from ingestor.api.principals import Principal, SdkSigner
from ingestor.api.renewal import Renewing
from ingestor.api.signing import Identity
from ingestor.model.errors import CredentialsError
from tests.api.conftest import Clock, Serve, certificate, jwt, pem, tls

NOW = 4_000_000_000.0
LIFE = 1200


class Federation:
    """Plays the services that hand out tokens; remembers which public key each token was given to."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self.key = key
        self.issued: list[tuple[str, RSAPublicKey]] = []
        self.away = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.away:
            return web.json_response({"code": "NotAuthenticated", "message": "not in a dynamic group"}, status=401)
        match request.path.rsplit("/", 1)[-1]:
            case "cert.pem" | "intermediate.pem":
                return web.Response(body=certificate(self.key))
            case "key.pem":
                return web.Response(body=pem(self.key))
            case "region":
                return web.Response(text="phx")
            case "x509":
                return web.json_response({"token": self.issue((await request.json())["publicKey"])})
            case _:
                token = self.issue((await request.json())["podKey"])
                return web.Response(body=base64.b64encode(json.dumps({"token": f"ST${token}"}).encode()))

    def issue(self, public_key: str) -> str:
        token = jwt(NOW + LIFE, NOW, jti=str(len(self.issued)))
        owner = load_der_public_key(base64.b64decode(public_key))
        assert isinstance(owner, RSAPublicKey)
        self.issued.append((token, owner))
        return token

    def assert_issued(self, identity: Identity, number: int) -> None:
        """Check that an identity holds the n-th token, and the very key that it was given to."""
        token, owner = self.issued[number]
        assert identity.key_id == f"ST${token}"
        owner.verify(identity.private_key.sign(b"x", PKCS1v15(), SHA256()), b"x", PKCS1v15(), SHA256())


@pytest.fixture
def federation(key: RSAPrivateKey) -> Federation:
    return Federation(key)


class Built:
    """Builds an SDK signer and closes, after the test, the connections that the SDK would leave to chance."""

    def __init__(self, build: Callable[[], SdkSigner]) -> None:
        self.build = build
        self.signer: SdkSigner

    def __call__(self) -> SdkSigner:
        self.signer = self.build()
        return self.signer

    def close(self, *holders: str) -> None:
        for holder in holders:
            attrgetter(f"{holder}requests_session")(self.signer).close()


@pytest.fixture(autouse=True)
def _sockets_that_the_sdk_forgot() -> Iterator[None]:
    """Collect them here: the SDK leaves the one of each certificate it fetches to the garbage collector."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture
async def instance(federation: Federation, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Principal]:
    async with serve(federation) as base:
        monkeypatch.setenv("OCI_METADATA_BASE_URL", str(base / "opc/v2"))
        build = partial(
            InstancePrincipalsSecurityTokenSigner,
            federation_endpoint=str(base / "v1/x509"),
            federation_client_retry_strategy=NoneRetryStrategy(),
        )
        built = Built(build)
        yield Principal(built, "instance-principal", "Only there.", Clock(NOW))
        built.close("leaf_certificate_retriever.", "intermediate_certificate_retriever.", "federation_client.")


async def test_an_instance_gets_its_token_from_the_federation(instance: Principal, federation: Federation) -> None:
    held = Renewing(instance.load, Clock(NOW))
    federation.assert_issued(await held.current(), 0)
    lease = held._lease
    assert lease is not None
    assert (lease.renew_at, lease.expires_at) == (NOW + LIFE / 2, NOW + LIFE)
    await held.aclose()


async def test_an_instance_renews_token_and_key_together(instance: Principal, federation: Federation) -> None:
    clock = Clock(NOW)
    held = Renewing(instance.load, clock)
    await held.open()
    clock.time += 60
    assert await held.renew()
    federation.assert_issued(await held.current(), 1)
    await held.aclose()


async def test_a_renewal_that_the_federation_refuses_keeps_token_and_key(
    instance: Principal, federation: Federation
) -> None:
    clock = Clock(NOW)
    held = Renewing(instance.load, clock)
    await held.open()
    federation.away = True
    clock.time += LIFE / 2
    assert await held.renew() is False
    federation.assert_issued(await held.current(), 0)
    clock.time += LIFE
    with pytest.raises(CredentialsError, match=r"instance-principal: .*401.*Only there\."):
        await held.current()
    await held.aclose()


async def test_a_pod_gets_its_token_from_the_clusters_proxy(
    federation: Federation, serve: Serve, key: RSAPrivateKey, tmp_path: Path
) -> None:
    context, trusted = tls(tmp_path, key)
    service_account = SuppliedServiceAccountTokenProvider(jwt(NOW))
    clock = Clock(NOW)
    async with serve(federation, context) as base:
        built = Built(
            partial(
                OkeWorkloadIdentityResourcePrincipalSigner,
                service_account,
                str(trusted),
                base.host,
                base.port,
                retry_strategy=NoneRetryStrategy(),
            )
        )
        held = Renewing(Principal(built, "workload-identity", "Only there.", clock).load, clock)
        federation.assert_issued(await held.current(), 0)
        clock.time += 60
        assert await held.renew()
        federation.assert_issued(await held.current(), 1)
        await held.aclose()
        built.close("")


def resource(folder: Path, key: RSAPrivateKey, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "rpst").write_text(token)
    (folder / "key.pem").write_bytes(pem(key))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", str(folder / "rpst"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", str(folder / "key.pem"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-phoenix-1")


def test_a_resources_token_and_key_are_taken_up_when_their_files_change(
    tmp_path: Path, key: RSAPrivateKey, other_key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource(tmp_path, key, jwt(NOW + 600, NOW), monkeypatch)
    principal = Principal(get_resource_principals_signer, "resource-principal", "Only there.", Clock(NOW))
    assert principal.load().value.private_key.private_numbers() == key.private_numbers()
    resource(tmp_path, other_key, jwt(NOW + 900, NOW), monkeypatch)
    lease = principal.load()
    assert lease.value.private_key.private_numbers() == other_key.private_numbers()
    assert (lease.renew_at, lease.expires_at) == (NOW + 450, NOW + 900)


@pytest.mark.parametrize("left", [-3600.0, 0.0, 15.0])
def test_a_token_near_its_end_is_not_fetched_in_a_storm(
    left: float, tmp_path: Path, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource(tmp_path, key, jwt(NOW + left, NOW - 7200), monkeypatch)
    lease = Principal(get_resource_principals_signer, "resource-principal", "Only there.", Clock(NOW)).load()
    assert lease.renew_at == NOW + 10


def test_an_error_of_the_sdk_does_not_quote_what_it_holds() -> None:
    def build() -> SdkSigner:
        raise RuntimeError("-----BEGIN PRIVATE KEY----- s3cret")

    with pytest.raises(CredentialsError) as caught:
        Principal(build, "instance-principal", "Only there.").load()
    assert str(caught.value) == "instance-principal: RuntimeError. Only there."
