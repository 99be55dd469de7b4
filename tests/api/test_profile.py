import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from ingestor.api.options import AuthOptions
from ingestor.api.private_key import fingerprint
from ingestor.api.profile import load_api_key, load_session_token, token_expiry
from ingestor.api.signing import Identity, Lease
from ingestor.api.values import AuthKind
from ingestor.model.errors import CredentialsError
from tests.api.conftest import FINGERPRINT, TENANCY, USER, Clock, jwt, pem, write_profile

NEVER = float("inf")


@pytest.fixture
def key_file(tmp_path: Path, key: RSAPrivateKey) -> Path:
    file = tmp_path / "key.pem"
    file.write_bytes(pem(key))
    return file


@pytest.fixture
def own(key: RSAPrivateKey) -> str:
    """The fingerprint of the key."""
    return fingerprint(key)


def loaded(file: Path | None, name: str, passphrase: SecretStr | None) -> Lease[Identity]:
    return load_api_key(AuthOptions(kind=AuthKind.API_KEY, oci_config=file, oci_profile=name, passphrase=passphrase))


def write_api_key(folder: Path, key_file: Path, name: str = "DEFAULT", **fields: str) -> Path:
    user = {"tenancy": TENANCY, "user": USER, "fingerprint": FINGERPRINT, "key_file": str(key_file)}
    return write_profile(folder, name, **(user | fields))


def test_an_api_key_is_identified_by_tenancy_user_and_fingerprint(
    tmp_path: Path, key: RSAPrivateKey, key_file: Path, own: str
) -> None:
    lease = loaded(write_api_key(tmp_path, key_file, fingerprint=own), "DEFAULT", None)
    assert lease.value.key_id == f"{TENANCY}/{USER}/{own}"
    assert lease.value.private_key.private_numbers() == key.private_numbers()
    assert (lease.renew_at, lease.expires_at) == (NEVER, NEVER)


def test_another_profile_can_be_named(tmp_path: Path, key_file: Path, own: str) -> None:
    write_api_key(tmp_path, key_file)
    file = write_api_key(tmp_path, key_file, "OTHER", user=USER + "2", fingerprint=own)
    assert loaded(file, "OTHER", None).value.key_id == f"{TENANCY}/{USER}2/{own}"


def test_without_a_file_the_sdk_searches_for_it(
    tmp_path: Path, key_file: Path, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".oci").mkdir()
    write_api_key(tmp_path / ".oci", key_file, fingerprint=own)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert loaded(None, "DEFAULT", None).value.key_id.startswith(TENANCY)


def test_oci_config_file_is_used_where_there_is_no_default_file(
    tmp_path: Path, key_file: Path, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    monkeypatch.setenv("OCI_CONFIG_FILE", str(write_api_key(tmp_path, key_file, fingerprint=own)))
    assert loaded(None, "DEFAULT", None).value.key_id.startswith(TENANCY)


def test_an_encrypted_key_is_decrypted_with_the_profiles_pass_phrase(
    tmp_path: Path, key: RSAPrivateKey, own: str
) -> None:
    (tmp_path / "key.pem").write_bytes(pem(key, "open sesame"))
    file = write_api_key(tmp_path, tmp_path / "key.pem", pass_phrase="open sesame", fingerprint=own)
    lease = loaded(file, "DEFAULT", None)
    assert lease.value.private_key.private_numbers() == key.private_numbers()
    assert lease.secrets == ("open sesame",)


def test_a_passphrase_in_the_settings_takes_precedence_over_the_profiles(
    tmp_path: Path, key: RSAPrivateKey, own: str
) -> None:
    (tmp_path / "key.pem").write_bytes(pem(key, "open sesame"))
    file = write_api_key(tmp_path, tmp_path / "key.pem", pass_phrase="wrong", fingerprint=own)
    lease = loaded(file, "DEFAULT", SecretStr("open sesame"))
    assert lease.value.private_key.private_numbers() == key.private_numbers()


def test_a_passphrase_that_is_not_needed_is_ignored(
    tmp_path: Path, key: RSAPrivateKey, key_file: Path, own: str
) -> None:
    file = write_api_key(tmp_path, key_file, pass_phrase="not needed", fingerprint=own)
    assert loaded(file, "DEFAULT", None).value.private_key.private_numbers() == key.private_numbers()


def test_a_missing_config_file_is_reported_with_advice(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"nowhere.*`oci setup config`"):
        loaded(tmp_path / "nowhere", "DEFAULT", None)


def test_a_missing_profile_is_named(tmp_path: Path, key_file: Path) -> None:
    with pytest.raises(CredentialsError, match=r"config: there is no profile \[PROD\].*--oci-profile"):
        loaded(write_api_key(tmp_path, key_file), "PROD", None)


@pytest.mark.parametrize("field", ["tenancy", "user", "fingerprint", "key_file"])
def test_a_missing_field_is_named_with_file_and_profile(tmp_path: Path, key_file: Path, field: str) -> None:
    fields = {"tenancy": TENANCY, "user": USER, "fingerprint": FINGERPRINT, "key_file": str(key_file)}
    del fields[field]
    with pytest.raises(CredentialsError, match=rf"config, profile \[PROD\]: {field} is missing"):
        loaded(write_profile(tmp_path, "PROD", **fields), "PROD", None)


@pytest.mark.parametrize("field", ["tenancy", "user", "fingerprint"])
def test_a_malformed_field_is_named(tmp_path: Path, key_file: Path, field: str) -> None:
    with pytest.raises(CredentialsError, match=rf"profile \[DEFAULT\]: {field} is malformed"):
        loaded(write_api_key(tmp_path, key_file, **{field: "oops"}), "DEFAULT", None)


def test_a_missing_key_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CredentialsError, match=r"profile \[DEFAULT\]: key_file names a file that does not exist"):
        loaded(write_api_key(tmp_path, tmp_path / "gone.pem"), "DEFAULT", None)


@pytest.mark.parametrize(
    ("given", "problem"), [(None, "INGESTOR_OCI_PASSPHRASE"), ("wr0ng-secret", "passphrase is wrong")]
)
def test_a_key_that_can_not_be_decrypted_is_reported_without_the_passphrase(
    tmp_path: Path, key: RSAPrivateKey, given: str | None, problem: str
) -> None:
    (tmp_path / "key.pem").write_bytes(pem(key, "open sesame"))
    file = write_api_key(tmp_path, tmp_path / "key.pem")
    with pytest.raises(CredentialsError, match=f"key_file names .*{problem}") as caught:
        loaded(file, "DEFAULT", SecretStr(given) if given else None)
    assert "wr0ng" not in str(caught.value)


def test_a_key_that_is_not_an_rsa_private_key_is_refused(tmp_path: Path, key: RSAPrivateKey) -> None:
    curve = generate_ec_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    file = write_api_key(tmp_path, tmp_path / "key.pem")
    for content in (curve, public, b"", b"\xff\x00", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"):
        (tmp_path / "key.pem").write_bytes(content)
        with pytest.raises(CredentialsError, match=r"profile \[DEFAULT\]: key_file names"):
            loaded(file, "DEFAULT", None)


@pytest.mark.parametrize(
    "text", ["pass_phrase=s3cret\n", "[DEFAULT]\ns3cret\n", "[A]\nx=s3cret\n[A]\n", "[DEFAULT]\nkey_content=s3cret\n"]
)
def test_a_malformed_config_file_is_reported_without_its_content(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(CredentialsError, match="config: this is not a valid OCI config file") as caught:
        loaded(tmp_path / "config", "DEFAULT", None)
    assert "s3cret" not in str(caught.value)


class Session:
    """A session profile on disk, as `oci session authenticate` leaves it."""

    def __init__(self, folder: Path, clock: Clock, key: RSAPrivateKey) -> None:
        self.token_file = folder / "token"
        self.key_file = folder / "session.pem"
        self.key_file.write_bytes(pem(key))
        self.file = write_profile(folder, "S", security_token_file=self.token_file, key_file=self.key_file)
        self.clock = clock

    def load(self) -> Lease[Identity]:
        auth = AuthOptions(kind=AuthKind.SESSION_TOKEN, oci_config=self.file, oci_profile="S")
        return load_session_token(auth, self.clock)


@pytest.fixture
def session(tmp_path: Path, clock: Clock, key: RSAPrivateKey) -> Session:
    return Session(tmp_path, clock, key)


def test_a_session_token_signs_with_its_own_key_until_it_expires(
    session: Session, clock: Clock, key: RSAPrivateKey
) -> None:
    token = jwt(clock.time + 3600)
    session.token_file.write_text(token + "\n")
    lease = session.load()
    assert lease.value.key_id == f"ST${token}"
    assert lease.value.private_key.private_numbers() == key.private_numbers()
    assert lease.expires_at == clock.time + 3600
    assert clock.time < lease.renew_at < clock.time + 60


def test_a_session_refreshed_by_another_program_is_used(
    session: Session, clock: Clock, other_key: RSAPrivateKey
) -> None:
    session.token_file.write_text(jwt(clock.time + 3600))
    first = session.load()
    assert session.load().value == first.value
    assert session.load().value.private_key is first.value.private_key
    session.token_file.write_text(jwt(clock.time + 7200))
    second = session.load()
    assert second.value != first.value
    assert second.expires_at == clock.time + 7200
    session.key_file.write_bytes(pem(other_key))
    assert session.load().value.private_key.private_numbers() == other_key.private_numbers()


def test_an_expired_session_is_reported_with_its_time_and_the_command_to_run(session: Session, clock: Clock) -> None:
    ended = int(clock.time) - 1
    session.token_file.write_text(jwt(ended))
    when = datetime.fromtimestamp(ended, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    with pytest.raises(CredentialsError, match=rf"profile \[S\].*{when}.*`oci session authenticate`"):
        session.load()


@pytest.mark.parametrize("content", ["", "s3cret", "a.b", "a.!!!.c", "a.bnVsbA.c", "a.e30.c", "\ud7ff"])
def test_a_file_without_a_session_token_is_reported_without_its_content(session: Session, content: str) -> None:
    session.token_file.write_text(content)
    with pytest.raises(CredentialsError, match=r"profile \[S\]: security_token_file names") as caught:
        session.load()
    assert "s3cret" not in str(caught.value)


def test_a_missing_session_token_file_is_reported(session: Session) -> None:
    with pytest.raises(
        CredentialsError, match=r"profile \[S\]: security_token_file names a file that does not exist: .*/token"
    ):
        session.load()


@pytest.mark.parametrize("change", ["{0}\n{1}", "{0}\r\n{1}", "{0} {1}", "{0}\x01{1}", "ST${0}{1}", '"{0}{1}"'])
def test_a_session_token_that_no_header_can_hold_is_refused_before_it_is_used(session: Session, change: str) -> None:
    token = jwt(session.clock.time + 3600)
    session.token_file.write_text(change.format(token[:30], token[30:]), newline="")
    with pytest.raises(CredentialsError, match=r"profile \[S\]: security_token_file names") as caught:
        session.load()
    assert token[:12] not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfee\x00y\x00", b"\xe9" * 40, b""])
def test_a_session_token_in_another_encoding_is_refused_with_the_reason(session: Session, content: bytes) -> None:
    session.token_file.write_bytes(content)
    with pytest.raises(
        CredentialsError, match=r"security_token_file names .*/token, which is (encoded as|not text|empty)"
    ):
        session.load()


def test_a_token_with_a_time_that_no_calendar_has_is_expired_or_refused(session: Session) -> None:
    session.token_file.write_text(jwt(-(10**15)))
    with pytest.raises(CredentialsError, match="expired at a time before the calendar"):
        session.load()
    for expiry in ("1e999", "NaN", "1" + "0" * 400, "[]", "null"):
        claims = base64.urlsafe_b64encode(f'{{"exp": {expiry}}}'.encode()).decode().rstrip("=")
        session.token_file.write_text(f"a.{claims}.c")
        with pytest.raises(CredentialsError, match="does not hold a session token"):
            session.load()


@pytest.mark.parametrize("field", ["security_token_file", "key_file"])
def test_a_path_below_a_home_directory_that_does_not_exist_is_named(
    tmp_path: Path, key_file: Path, clock: Clock, field: str
) -> None:
    (tmp_path / "token").write_text(jwt(clock.time + 3600))
    fields = {"security_token_file": str(tmp_path / "token"), "key_file": str(key_file), field: "~nosuchuser/file"}
    auth = AuthOptions(kind=AuthKind.SESSION_TOKEN, oci_config=write_profile(tmp_path, "S", **fields), oci_profile="S")
    with pytest.raises(CredentialsError, match=rf"profile \[S\]: {field} names ~nosuchuser/file, which does not exist"):
        load_session_token(auth, clock)


def test_a_fingerprint_of_another_key_is_found_without_a_request(tmp_path: Path, key_file: Path, own: str) -> None:
    file = write_api_key(tmp_path, key_file)
    with pytest.raises(CredentialsError, match=rf"\[DEFAULT\]: fingerprint is not that of the key in key_file.*{own}"):
        loaded(file, "DEFAULT", None)
    rehearsed = load_api_key(AuthOptions(kind=AuthKind.API_KEY, oci_config=file), is_rehearsal=True)
    assert rehearsed.value.key_id.endswith(FINGERPRINT)
    assert own in rehearsed.doubt


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ('"{}"', "is in quotes"),
        ("'{}'", "is in quotes"),
        ("<your_value>", "is the placeholder of an example"),
        ("{}\n  next=x", "the next line begins with a space"),
        ("{} # mine", "it must be"),
        ("{}\u00e9", "it must be"),
        ("{}\0", "it must be"),
        ('{}"', "it must be"),
    ],
)
@pytest.mark.parametrize("field", ["tenancy", "user", "fingerprint"])
def test_a_field_that_can_not_stand_in_a_header_is_refused_with_the_reason(
    tmp_path: Path, key_file: Path, field: str, value: str, problem: str
) -> None:
    good = {"tenancy": TENANCY, "user": USER, "fingerprint": FINGERPRINT}[field]
    file = write_api_key(tmp_path, key_file, **{field: value.format(good)})
    with pytest.raises(CredentialsError, match=rf"profile \[DEFAULT\]: {field} is malformed: .*{problem}"):
        loaded(file, "DEFAULT", None)


def test_a_session_profile_needs_another_auth_than_the_default(
    tmp_path: Path, key_file: Path, own: str, session: Session
) -> None:
    with pytest.raises(
        CredentialsError, match=r"profile \[S\]: security_token_file is set .*: set --auth session-token"
    ):
        loaded(session.file, "S", None)
    write_api_key(tmp_path, key_file, fingerprint=own)  # whose user is inherited by every profile
    with pytest.raises(CredentialsError, match=r"profile \[S\]: .*set --auth session-token"):
        loaded(session.file, "S", None)


def test_the_profile_of_an_api_key_needs_the_default_auth(tmp_path: Path, key_file: Path) -> None:
    auth = AuthOptions(kind=AuthKind.SESSION_TOKEN, oci_config=write_api_key(tmp_path, key_file))
    with pytest.raises(CredentialsError, match=r"security_token_file is missing.*set --auth api-key"):
        load_session_token(auth)


@pytest.mark.parametrize(
    ("made", "advice"),
    [
        ("security_token", "set --auth session-token"),
        ("instance_principal", "set --auth instance-principal"),
        ("resource_principal", "set --auth resource-principal"),
        ("instance_obo_user", "ingestor does not support it: name another profile"),
    ],
)
def test_the_authentication_type_of_a_profile_names_the_auth_to_set(
    tmp_path: Path, key_file: Path, made: str, advice: str
) -> None:
    file = write_api_key(tmp_path, key_file, authentication_type=made)
    with pytest.raises(CredentialsError, match=rf"\[DEFAULT\]: authentication_type is {made}: {advice}"):
        loaded(file, "DEFAULT", None)


def test_an_error_names_what_the_oci_cli_would_use_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for word, value in (("AUTH", "security_token"), ("PROFILE", "PROD"), ("CONFIG_FILE", "/etc/oci/config")):
        monkeypatch.setenv(f"OCI_CLI_{word}", value)
    with pytest.raises(CredentialsError) as caught:
        loaded(None, "DEFAULT", None)
    for words in ("set --oci-profile to use it", "set --oci-config to use it", "set --auth session-token"):
        assert words in str(caught.value)


@given(st.text())
def test_token_expiry_refuses_text_that_is_not_a_token(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- whatever its text
        token_expiry(text)
