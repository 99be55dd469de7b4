from pathlib import Path

import pytest
from pydantic import ValidationError

from ingestor.api.values import MASK
from ingestor.cli.config import show
from ingestor.model.errors import UsageError
from ingestor.settings.load import load
from ingestor.settings.options import Settings
from tests.settings.environment import environment

SECRET = "hunter2"  # the same word wherever a test must not find it
SECRETS = {f"INGESTOR_{name}": SECRET for name in ("BEARER_TOKEN", "OCI_PASSPHRASE", "BASIC_PASSWORD")}


def test_secrets_come_by_environment() -> None:
    with environment(**SECRETS):
        settings = load({}).settings
    assert settings.bearer_token is not None
    assert settings.bearer_token.get_secret_value() == SECRET
    assert settings.oci_passphrase is not None
    assert settings.oci_passphrase.get_secret_value() == SECRET


@pytest.mark.parametrize("output", ["text", "json"])
def test_no_secret_is_ever_shown(output: str) -> None:
    with environment(**SECRETS):
        loaded = load({"output": output})
    assert MASK in show(loaded)
    for text in (show(loaded), repr(loaded), str(loaded.settings), repr(loaded.settings), str(loaded.warnings)):
        assert SECRET not in text


@pytest.mark.parametrize("value", [f'"{SECRET}"', f'["{SECRET}"]', f'{{a = "{SECRET}"}}'])
def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path, value: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(f"bearer_token = {value}\noci_passphrase = {value}\n")
    with environment(), pytest.raises(UsageError) as caught:
        load({}, str(path))
    assert str(caught.value).splitlines() == [
        f"{path}: bearer_token: a secret can't be set in a file: set INGESTOR_BEARER_TOKEN instead",
        f"{path}: oci_passphrase: a secret can't be set in a file: set INGESTOR_OCI_PASSPHRASE instead",
    ]


@pytest.mark.parametrize("token", [f"{SECRET} {SECRET}", f"{SECRET}\r\nx-evil: 1", f"{SECRET}é", "   "])
def test_a_token_that_no_header_can_hold_is_refused_and_not_repeated(token: str) -> None:
    with environment(INGESTOR_BEARER_TOKEN=token), pytest.raises(UsageError) as caught:
        load({})
    assert str(caught.value) == "INGESTOR_BEARER_TOKEN: must be a token of visible ASCII characters, on one line"


def test_what_a_shell_leaves_around_a_token_is_dropped() -> None:
    with environment(INGESTOR_BEARER_TOKEN=f"{SECRET}\n"):
        token = load({}).settings.bearer_token
    assert token is not None
    assert token.get_secret_value() == SECRET


def test_an_error_of_settings_made_in_a_program_repeats_no_value() -> None:
    with environment(INGESTOR_BEARER_TOKEN=f"{SECRET} {SECRET}"), pytest.raises(ValidationError) as caught:
        Settings(platform_id=f"{SECRET}/")
    assert SECRET not in str(caught.value)
