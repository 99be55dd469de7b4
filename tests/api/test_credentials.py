from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import SecretStr
from yarl import URL

from ingestor.api.credentials import load_bearer, make_signer
from ingestor.api.options import AuthOptions
from ingestor.api.signing import Anonymous
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError
from tests.api.conftest import FINGERPRINT, TENANCY, USER, Clock, jwt, pem, write_profile

URL_ = URL("https://h.example/x")


def bearer(**options: object) -> AuthOptions:
    return AuthOptions(kind=AuthKind.BEARER, **options)  # type: ignore[arg-type]  # fields of AuthOptions


async def authorization(options: AuthOptions) -> str:
    signer = make_signer(options)
    await signer.open()
    try:
        return (await signer.headers("POST", URL_, b"{}"))["authorization"]
    finally:
        await signer.aclose()


async def test_a_bearer_token_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    assert await authorization(bearer(bearer_token=SecretStr(" from-env "))) == "Bearer from-env"
    assert await authorization(bearer(bearer_token_file=tmp_path / "token")) == "Bearer from-file"


def test_a_token_file_is_read_again_at_every_renewal(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    assert clock.time < load_bearer(bearer(bearer_token_file=file), clock).renew_at < clock.time + 60
    file.write_text("two")
    assert load_bearer(bearer(bearer_token_file=file), clock).value == "two"


@pytest.mark.parametrize("token", ["", "  \n", "s3cret token", "s3cret\r\nX-Injected: 1", "s3cr\u00e9t", "s3cret\x00"])
def test_text_that_is_not_a_token_is_refused_without_quoting_it(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_text(token, newline="")
    with pytest.raises(CredentialsError, match=r"/token: ") as caught:
        load_bearer(bearer(bearer_token_file=tmp_path / "token"))
    assert "s3cr" not in str(caught.value)
    with pytest.raises(CredentialsError, match=r"^bearer_token: ") as caught:
        load_bearer(bearer(bearer_token=SecretStr(token)))
    assert "s3cr" not in str(caught.value)


def test_a_missing_token_names_the_settings_to_set(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match="bearer_token_file"):
        load_bearer(bearer())
    with pytest.raises(CredentialsError, match=r"gone: .*No such file"):
        load_bearer(bearer(bearer_token_file=tmp_path / "gone"))


async def test_an_api_key_and_a_session_token_sign(tmp_path: Path, key: RSAPrivateKey) -> None:
    (tmp_path / "key.pem").write_bytes(pem(key, "open sesame"))
    token = jwt(4_000_000_000)
    (tmp_path / "token").write_text(token)
    fields: dict[str, str | Path] = {
        "tenancy": TENANCY,
        "user": USER,
        "fingerprint": FINGERPRINT,
        "key_file": tmp_path / "key.pem",
    }
    file = write_profile(tmp_path, "P", **fields, security_token_file=tmp_path / "token")
    for kind, key_id in (
        (AuthKind.API_KEY, f"{TENANCY}/{USER}/{FINGERPRINT}"),
        (AuthKind.SESSION_TOKEN, f"ST${token}"),
    ):
        options = AuthOptions(kind=kind, oci_config=file, oci_profile="P", passphrase=SecretStr("open sesame"))
        assert f'keyId="{key_id}"' in await authorization(options)


async def test_a_resource_principal_signs_with_the_key_of_its_environment(
    tmp_path: Path, key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "rpst").write_text(token := jwt(4_000_000_000, 3_999_990_000))
    (tmp_path / "key.pem").write_bytes(pem(key))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_VERSION", "2.2")
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_RPST", str(tmp_path / "rpst"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_PRIVATE_PEM", str(tmp_path / "key.pem"))
    monkeypatch.setenv("OCI_RESOURCE_PRINCIPAL_REGION", "us-phoenix-1")
    assert f'keyId="ST${token}"' in await authorization(AuthOptions(kind=AuthKind.RESOURCE_PRINCIPAL))


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        (AuthKind.INSTANCE_PRINCIPAL, "instance-principal: .*compute instance"),
        (AuthKind.RESOURCE_PRINCIPAL, "resource-principal: OCI_RESOURCE_PRINCIPAL_VERSION is not defined.*inside OCI"),
        (AuthKind.WORKLOAD_IDENTITY, "workload-identity: .*pod"),
    ],
)
async def test_a_principal_in_the_wrong_place_reports_where_it_works(
    kind: AuthKind, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OCI_METADATA_BASE_URL", "http://127.0.0.1:9/opc/v2")
    monkeypatch.delenv("OCI_RESOURCE_PRINCIPAL_VERSION", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CredentialsError, match=hint):
        await authorization(AuthOptions(kind=kind))


def test_no_credentials_need_no_signature() -> None:
    assert isinstance(make_signer(AuthOptions(kind=AuthKind.NONE)), Anonymous)


def test_options_do_not_show_their_secrets() -> None:
    options = bearer(bearer_token=SecretStr("s3cret"), passphrase=SecretStr("s3cret"))
    assert "s3cret" not in repr(options)
