"""A target of the library refuses credentials that no request can contain."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ingestor.app.target import aidp, mlflow
from ingestor.model.errors import UsageError

NO_NAME = "basic_username: must be a user's name"
NO_PASSWORD = "basic_password: must be a password"


@pytest.mark.parametrize("token", ["", "  \n", "s3cret token", "s3cret\r\nX-Injected: 1", "s3cr\u00e9t", "s3cret\x00"])
def test_text_that_is_not_a_token_is_refused_without_quoting_it(token: str) -> None:
    with pytest.raises(UsageError, match=r"^bearer_token: ") as caught:
        mlflow("https://h", auth="bearer", bearer_token=token)
    assert "s3cr" not in str(caught.value)


def test_the_space_around_a_token_is_not_sent() -> None:
    token = mlflow("https://h", auth="bearer", bearer_token=" t0ken\n").auth.bearer_token
    assert token is not None
    assert token.get_secret_value() == "t0ken"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "auth: basic needs basic_username and basic_password"),
        ({"basic_username": "a"}, "auth: basic needs basic_username and basic_password"),
        ({"basic_username": "", "basic_password": "p"}, NO_NAME),
        ({"basic_username": "a:b", "basic_password": "p"}, NO_NAME),
        ({"basic_username": "a\nb", "basic_password": "p"}, NO_NAME),
        ({"basic_username": "a", "basic_password": "s3cret\r\nX: 1"}, NO_PASSWORD),
        ({"basic_username": "a", "basic_password": "s3cret\0"}, NO_PASSWORD),
    ],
)
def test_a_name_or_a_password_that_can_not_be_sent_is_refused_without_the_password(
    given: Mapping[str, str], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem) as caught:
        mlflow("https://h", auth="basic", **given)
    assert "s3cret" not in str(caught.value)


def test_a_file_of_authorities_reaches_the_connection_with_its_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    server = mlflow("https://h", ca_file="~/ca.pem")
    workspace = aidp(platform_id="p", workspace="w", endpoint="https://h", ca_file=Path("/etc/ca.pem"))
    assert server.connection(connections=1, timeout=1.0).ca_file == Path("/home/ann/ca.pem")
    assert workspace.connection(connections=1, timeout=1.0).ca_file == Path("/etc/ca.pem")
    assert mlflow("https://h").ca_file is None
    with pytest.raises(UsageError, match="ca_file: must be a path"):
        mlflow("https://h", ca_file="")
