"""The SDK's real signers, against a metadata service, a federation service and a cluster's proxy on loopback."""

import asyncio
import base64
import gc
import json
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

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

from ingestor.api.principals import Principal, principal
from ingestor.api.signing import CredentialCache, Identity
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError
from tests.api.conftest import Clock, Serve, certificate, jwt, pem, tls
from tests.support import certificates
from tests.support.tunnel import tunnelling_to

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of the SDK, at any moment

NOW = 4_000_000_000.0
LIFE = 1200


class Federation:
    """Stands for the services that issue tokens; keeps the public key that each token was issued for."""

    def __init__(self, key: RSAPrivateKey) -> None:
        self.key = key
        self.issued: list[tuple[str, RSAPublicKey]] = []
        self.refuses = False

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.refuses:
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
        """Check that an identity has the n-th token, and the key that it was issued for."""
        token, owner = self.issued[number]
        assert identity.key_id == f"ST${token}"
        owner.verify(identity.private_key.sign(b"x", PKCS1v15(), SHA256()), b"x", PKCS1v15(), SHA256())


@pytest.fixture
def federation(key: RSAPrivateKey) -> Federation:
    return Federation(key)


class Built:
    """Builds an SDK signer, and closes its connections after the test: the SDK does not."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self.build = build
        self.signer: Any

    def __call__(self) -> Any:
        self.signer = self.build()
        return self.signer

    def close(self, *holders: str) -> None:
        for holder in holders:
            attrgetter(f"{holder}requests_session")(self.signer).close()


@pytest.fixture(autouse=True)
def _unclosed_sockets_of_the_sdk() -> Iterator[None]:
    """Collect them here: the SDK leaves a socket for each certificate to the garbage collector."""
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
    cache = CredentialCache(instance.load, Clock(NOW))
    federation.assert_issued(await cache.current(), 0)
    lease = cache._lease
    assert lease is not None
    assert (lease.renew_at, lease.expires_at) == (NOW + LIFE / 2, NOW + LIFE)
    await cache.aclose()


async def test_an_instance_renews_token_and_key_together(instance: Principal, federation: Federation) -> None:
    clock = Clock(NOW)
    cache = CredentialCache(instance.load, clock)
    await cache.open()
    clock.time += 60
    assert await cache.renew()
    federation.assert_issued(await cache.current(), 1)
    await cache.aclose()


async def test_a_renewal_that_the_federation_refuses_keeps_token_and_key(
    instance: Principal, federation: Federation
) -> None:
    clock = Clock(NOW)
    cache = CredentialCache(instance.load, clock)
    await cache.open()
    federation.refuses = True
    clock.time += LIFE / 2
    assert await cache.renew() is False
    federation.assert_issued(await cache.current(), 0)
    clock.time += LIFE
    with pytest.raises(CredentialsError, match=r"instance-principal: .*401.*Only there\."):
        await cache.current()
    await cache.aclose()


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
        cache = CredentialCache(Principal(built, "workload-identity", "Only there.", clock).load, clock)
        federation.assert_issued(await cache.current(), 0)
        clock.time += 60
        assert await cache.renew()
        federation.assert_issued(await cache.current(), 1)
        await cache.aclose()
        built.close("")


@pytest.mark.parametrize("kind", [AuthKind.RESOURCE_PRINCIPAL, AuthKind.WORKLOAD_IDENTITY])
def test_where_a_principal_does_not_work_the_variables_of_its_place_are_named(
    kind: AuthKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    with pytest.raises(CredentialsError) as caught:
        principal(kind).load()
    assert str(caught.value).startswith(f"{kind}: ")
    names = {
        AuthKind.RESOURCE_PRINCIPAL: ("OCI_RESOURCE_PRINCIPAL_RPST", "OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM"),
        AuthKind.WORKLOAD_IDENTITY: ("KUBERNETES_SERVICE_HOST",),
    }
    assert all(name in str(caught.value) for name in names[kind])


def resource(folder: Path, key: RSAPrivateKey, token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "rpst").write_text(token)
    (folder / "key.pem").write_bytes(pem(key))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", str(folder / "rpst"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", str(folder / "key.pem"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-phoenix-1")


def test_a_resource_principal_reads_its_token_and_key_again_when_their_files_change(
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
def test_a_token_near_its_expiry_is_not_fetched_again_and_again(
    left: float, tmp_path: Path, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    resource(tmp_path, key, jwt(NOW + left, NOW - 7200), monkeypatch)
    lease = Principal(get_resource_principals_signer, "resource-principal", "Only there.", Clock(NOW)).load()
    assert lease.renew_at == NOW + 10


def test_an_error_of_the_sdk_does_not_quote_secrets() -> None:
    def build() -> Any:
        raise RuntimeError("-----BEGIN PRIVATE KEY----- s3cret")

    with pytest.raises(CredentialsError) as caught:
        Principal(build, "instance-principal", "Only there.").load()
    assert str(caught.value) == "instance-principal: the OCI SDK fails with RuntimeError. Only there."


async def test_an_instance_fetches_its_token_from_a_host_that_the_file_of_authorities_trusts(
    serve: Serve, tmp_path: Path, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, federation = certificates.certificate(), Federation(key)
    (tmp_path / "ca.pem").write_bytes(root.pem)
    context = certificates.certificate(("auth.us-phoenix-1.oraclecloud.com",), issuer=root).context(tmp_path)
    async with serve(federation) as metadata, serve(federation, context) as issuing:
        assert issuing.port is not None
        async with tunnelling_to(issuing.port) as (proxy, _):
            for name, value in {
                "OCI_METADATA_BASE_URL": str(metadata / "opc/v2"),
                "https_proxy": f"http://{proxy}",
                "no_proxy": "127.0.0.1",
            }.items():
                monkeypatch.setenv(name, value)
            trusting = principal(AuthKind.INSTANCE_PRINCIPAL, tmp_path / "ca.pem")
            lease = await asyncio.to_thread(trusting.load)
            federation.assert_issued(lease.value, 0)
            with pytest.raises(CredentialsError, match="certificate verify failed"):
                await asyncio.to_thread(principal(AuthKind.INSTANCE_PRINCIPAL).load)
    for holder in ("leaf_certificate_retriever", "intermediate_certificate_retriever", "federation_client"):
        getattr(trusting._signer, holder).requests_session.close()
