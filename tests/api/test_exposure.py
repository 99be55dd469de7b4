"""Files with secrets that others can read are named; a mounted secret with mode 0440 is right."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingestor.api.exposure import exposed_files, exposure_of
from ingestor.api.options import AuthOptions
from ingestor.api.values import AuthKind
from tests.api.conftest import write_profile

ON_A_DISK = "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"
IN_MEMORY = "1 0 8:1 / / rw - tmpfs tmpfs rw\n"


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter, with a folder in it that only its owner may."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        (path / "mounts").write_text(ON_A_DISK)
        (path / "private").mkdir(0o700)
        yield path


def secret(folder: Path, mode: int) -> Path:
    file = folder / "key.pem"
    file.write_text("x")
    file.chmod(mode)
    return file


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o604, "every user of this machine can read it (mode 0604)"),
        (0o644, "every user of this machine can read it (mode 0644)"),
        (0o666, "every user of this machine can change it (mode 0666)"),
        (0o640, "its group can read it (mode 0640)"),
        (0o620, "its group can change it (mode 0620)"),
    ],
)
def test_a_file_that_others_can_read_is_named_with_its_mode_and_what_to_do(public: Path, mode: int, words: str) -> None:
    file = secret(public, mode)
    assert exposure_of(file, public / "mounts") == (
        f"{file} holds a secret, and {words}. Run `chmod 600 {file}`; for a mounted secret, set the mode 0440."
    )


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_a_file_of_its_owner_alone_is_right(public: Path, mode: int) -> None:
    assert exposure_of(secret(public, mode), public / "mounts") is None


def test_a_mounted_secret_that_its_group_can_read_is_right_and_one_for_everybody_is_not(public: Path) -> None:
    (public / "mounts").write_text(IN_MEMORY)
    assert exposure_of(secret(public, 0o440), public / "mounts") is None
    assert "every user" in (exposure_of(secret(public, 0o444), public / "mounts") or "")
    assert "its group can change it" in (exposure_of(secret(public, 0o460), public / "mounts") or "")


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o666])
def test_a_file_in_a_folder_that_others_can_not_enter_is_not_exposed(public: Path, mode: int) -> None:
    assert exposure_of(secret(public / "private", mode), public / "mounts") is None


@pytest.mark.parametrize("name", ["none", "mounts/none", "private"])
def test_what_is_no_file_is_left_to_the_reader_of_the_credentials(public: Path, name: str) -> None:
    assert exposure_of(public / name) is None


def test_key_token_and_a_config_file_with_a_passphrase_are_looked_at(public: Path) -> None:
    key = secret(public, 0o644)
    token = public / "token"
    token.write_text("x")
    token.chmod(0o644)
    config = write_profile(public, key_file=key, security_token_file=token, pass_phrase="x")
    config.chmod(0o644)
    (public / "link").symlink_to(key)

    def named(kind: AuthKind) -> list[str]:
        found = exposed_files(AuthOptions(kind=kind, oci_config=config, bearer_token_file=public / "link"))
        return [Path(it.partition(" ")[0]).name for it in found]

    assert named(AuthKind.API_KEY) == ["config", "key.pem"]
    assert named(AuthKind.SESSION_TOKEN) == ["config", "key.pem", "token"]
    assert named(AuthKind.BEARER) == ["key.pem"]
    assert named(AuthKind.BASIC) == []


@pytest.mark.parametrize("content", ["", "[DEFAULT]\n", "key_file=x\n", "[DEFAULT]\nkey_file=~nosuchuser/k\n"])
def test_a_config_file_that_can_not_be_used_exposes_nothing(public: Path, content: str) -> None:
    (public / "config").write_text(content)
    assert exposed_files(AuthOptions(kind=AuthKind.API_KEY, oci_config=public / "config")) == []


def test_a_token_in_the_environment_is_in_no_file() -> None:
    assert exposed_files(AuthOptions(kind=AuthKind.BEARER, bearer_token=SecretStr("x"))) == []


def test_a_file_of_another_user_that_this_one_has_by_its_group_is_right(public: Path) -> None:
    file = secret(public, 0o440)
    if os.geteuid() == 0:
        os.chown(file, 12345, os.getegid())
        assert exposure_of(file, public / "mounts") is None
    else:
        assert "its group can read" in (exposure_of(file, public / "mounts") or "")
