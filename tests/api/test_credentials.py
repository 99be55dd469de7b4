from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import SecretStr
from yarl import URL

from ingestor.api.credentials import check_without_request, load_basic, load_bearer, make_signer
from ingestor.api.options import AuthOptions
from ingestor.api.private_key import fingerprint
from ingestor.api.signing import Anonymous
from ingestor.api.values import AuthKind
from ingestor.app import target
from ingestor.model.errors import CredentialsError
from tests.api.conftest import TENANCY, USER, Clock, jwt, pem, write_profile

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
    assert await authorization(bearer(bearer_token=SecretStr("from-env"))) == "Bearer from-env"
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


def test_a_missing_file_of_a_token_is_named(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"gone: the file of the bearer token does not exist"):
        load_bearer(bearer(bearer_token_file=tmp_path / "gone"))


async def test_an_api_key_and_a_session_token_sign(tmp_path: Path, key: RSAPrivateKey) -> None:
    (tmp_path / "key.pem").write_bytes(pem(key, "open sesame"))
    token = jwt(4_000_000_000)
    (tmp_path / "token").write_text(token)
    fields: dict[str, str | Path] = {
        "tenancy": TENANCY,
        "user": USER,
        "fingerprint": fingerprint(key),
        "key_file": tmp_path / "key.pem",
    }
    file = write_profile(tmp_path, "P", **fields, security_token_file=tmp_path / "token")
    for kind, key_id in (
        (AuthKind.API_KEY, f"{TENANCY}/{USER}/{fingerprint(key)}"),
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


def basic(name: str | None, password: str | None) -> AuthOptions:
    secret = None if password is None else SecretStr(password)
    return AuthOptions(kind=AuthKind.BASIC, basic_username=name, basic_password=secret)


async def test_a_name_and_a_password_are_sent_as_basic_authentication_in_utf_8() -> None:
    assert await authorization(basic("Aladdin", "open sesame")) == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert await authorization(basic("test", "123\u00a3")) == "Basic dGVzdDoxMjPCow=="
    assert await authorization(basic("test", "a:b")) == "Basic dGVzdDphOmI="
    assert (await authorization(basic("\udcff", "\udcfe"))).startswith("Basic ")  # bytes that are not UTF-8


def test_the_password_and_its_encoded_form_are_secrets() -> None:
    lease = load_basic(basic("Aladdin", "open sesame"))
    assert set(lease.secrets) == {"open sesame", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}


@pytest.mark.parametrize(
    ("auth", "problem"),
    [
        (AuthOptions(kind=AuthKind.API_KEY, oci_config=Path("/nowhere")), "no readable OCI config file"),
        (AuthOptions(kind=AuthKind.SESSION_TOKEN, oci_config=Path("/nowhere")), "no readable OCI config file"),
        (AuthOptions(kind=AuthKind.BEARER, bearer_token_file=Path("~nosuchuser/token")), "~nosuchuser/token: .*home"),
        (AuthOptions(kind=AuthKind.RESOURCE_PRINCIPAL), "OCI_RESOURCE_PRINCIPAL_VERSION is not defined"),
        (AuthOptions(kind=AuthKind.WORKLOAD_IDENTITY), "KUBERNETES_SERVICE_HOST is not defined"),
    ],
)
def test_what_is_wrong_on_this_machine_is_found_without_a_request(
    auth: AuthOptions, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OCI_RESOURCE_PRINCIPAL_VERSION", raising=False)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(CredentialsError, match=problem):
        check_without_request(auth)


def test_credentials_that_only_a_request_can_check_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    for kind in (AuthKind.NONE, AuthKind.INSTANCE_PRINCIPAL, AuthKind.WORKLOAD_IDENTITY):
        check_without_request(AuthOptions(kind=kind))
    check_without_request(basic("a", "b"))


def test_a_check_judges_a_fingerprint_as_a_run_does(tmp_path: Path, key: RSAPrivateKey) -> None:
    (tmp_path / "key.pem").write_bytes(pem(key))
    another = ":".join(["0f"] * 16)
    fields: dict[str, str | Path] = {"tenancy": TENANCY, "user": USER, "key_file": tmp_path / "key.pem"}
    file = write_profile(tmp_path, "P", **fields, fingerprint=another)
    rehearsal, real = (
        target.aidp(platform_id="p", workspace="w", endpoint=endpoint, oci_config=file, oci_profile="P")
        for endpoint in ("http://127.0.0.1:1", "https://h.example")
    )
    target.check_without_request(rehearsal)
    with pytest.raises(CredentialsError, match="fingerprint is not that of the key"):
        target.check_without_request(real)


def test_no_credentials_need_no_signature() -> None:
    assert isinstance(make_signer(AuthOptions(kind=AuthKind.NONE)), Anonymous)


def test_options_do_not_show_their_secrets() -> None:
    options = bearer(
        bearer_token=SecretStr("s3cret"), passphrase=SecretStr("s3cret"), basic_password=SecretStr("s3cret")
    )
    assert "s3cret" not in repr(options)
