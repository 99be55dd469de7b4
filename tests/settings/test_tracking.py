"""The credentials of a tracking server: by our own names, or by MLflow's."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from ingestor.cli.config import show
from ingestor.cli.target import target_of
from ingestor.model.errors import UsageError
from ingestor.settings.load import Loaded, load
from ingestor.settings.places import Given, Place
from tests.settings.environment import environment

SERVER = {"tracking_uri": "https://h.example"}
AIDP = {"region": "us-ashburn-1", "platform_id": "ocid1.x", "workspace": "w"}
USER = {"MLFLOW_TRACKING_USERNAME": "ann", "MLFLOW_TRACKING_PASSWORD": "hunter2"}
TOKEN = {"MLFLOW_TRACKING_TOKEN": "t0ken"}


@pytest.fixture(autouse=True)
def no_variables_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*USER, *TOKEN):
        monkeypatch.delenv(name, raising=False)


def loaded(flags: Mapping[str, object], **variables: str) -> Loaded:
    with environment(**variables):
        return load(flags, sending=True)


def origin(result: Loaded, name: str) -> str:
    (row,) = (line.split() for line in show(result).splitlines() if line.split()[0] == name)
    return row[-1]


def test_mlflows_name_and_password_choose_basic_and_config_shows_where_it_came_from() -> None:
    result = loaded(SERVER, **USER)
    target = target_of(result.settings)
    assert (target.auth.kind, target.auth.basic_username) == ("basic", "ann")
    assert target.auth.basic_password is not None
    assert target.auth.basic_password.get_secret_value() == "hunter2"
    assert origin(result, "auth") == origin(result, "basic_username") == "MLFLOW_TRACKING_USERNAME"
    assert origin(result, "basic_password") == "MLFLOW_TRACKING_PASSWORD"
    assert "hunter2" not in show(result)
    assert result.warnings == []


def test_mlflows_token_chooses_bearer() -> None:
    result = loaded(SERVER, **TOKEN)
    assert result.settings.auth == "bearer"
    assert origin(result, "auth") == origin(result, "bearer_token") == "MLFLOW_TRACKING_TOKEN"
    assert "t0ken" not in show(result)


def test_a_name_with_a_password_precedes_a_token_as_in_mlflows_client() -> None:
    assert loaded(SERVER, **USER, **TOKEN).settings.auth == "basic"


def test_an_auth_that_is_given_takes_only_what_it_needs() -> None:
    assert loaded({**SERVER, "auth": "bearer"}, **USER, **TOKEN).settings.basic_username is None
    assert loaded({**SERVER, "auth": "basic"}, **USER, **TOKEN).settings.bearer_token is None
    result = loaded({**SERVER, "auth": "none"}, **USER, **TOKEN)
    assert (result.settings.auth, result.warnings) == ("none", [])


def test_our_own_names_precede_mlflows() -> None:
    result = loaded({**SERVER, "basic_username": "bob"}, INGESTOR_BASIC_PASSWORD="secret", **USER, **TOKEN)
    assert (result.settings.auth, result.settings.basic_username) == ("basic", "bob")
    assert origin(result, "auth") == "--basic-username"
    result = loaded({**SERVER, "bearer_token_file": "token"}, **USER, **TOKEN)
    assert (result.settings.auth, result.settings.bearer_token) == ("bearer", None)
    assert loaded(SERVER, INGESTOR_BEARER_TOKEN="t", **USER).settings.auth == "bearer"


def test_what_follows_from_an_option_in_the_file_comes_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('tracking_uri = "https://h.example"\nbasic_username = "ann"\n')
    with environment(INGESTOR_BASIC_PASSWORD="secret"):
        given = load({}, str(path), sending=True).given
    assert given["auth"] == given["basic_username"] == Given(Place.FILE, f"{path}: basic_username")
    assert loaded(SERVER, **USER).given["auth"] == Given(Place.ENVIRONMENT, "MLFLOW_TRACKING_USERNAME")


def test_mlflows_variables_do_not_count_for_aidp() -> None:
    settings = loaded(AIDP, **USER, **TOKEN).settings
    assert (settings.auth, settings.basic_username, settings.bearer_token) == ("api-key", None, None)


def test_a_name_without_a_password_is_a_warning() -> None:
    result = loaded(SERVER, MLFLOW_TRACKING_USERNAME="ann")
    assert result.settings.auth == "none"
    assert result.warnings == ["MLFLOW_TRACKING_USERNAME is not used: MLFLOW_TRACKING_PASSWORD is not set"]
    result = loaded(SERVER, MLFLOW_TRACKING_PASSWORD="hunter2")
    assert result.warnings == ["MLFLOW_TRACKING_PASSWORD is not used: MLFLOW_TRACKING_USERNAME is not set"]


def test_basic_needs_a_name_and_a_password() -> None:
    with pytest.raises(UsageError) as caught:
        loaded({**SERVER, "auth": "basic"})
    assert str(caught.value).splitlines() == [
        "the user's name is missing: basic needs --basic-username",
        "the password is missing: basic needs INGESTOR_BASIC_PASSWORD",
    ]


def test_credentials_of_another_auth_are_a_warning() -> None:
    result = loaded({**SERVER, "auth": "none", "basic_username": "ann"}, INGESTOR_BASIC_PASSWORD="hunter2")
    assert result.warnings == [
        "--basic-username is not used: it needs --auth basic",
        "INGESTOR_BASIC_PASSWORD is not used: it needs --auth basic",
    ]


@pytest.mark.parametrize(
    ("variables", "complaint"),
    [
        ({**USER, "MLFLOW_TRACKING_USERNAME": "an:n"}, "MLFLOW_TRACKING_USERNAME: must be a user's name, on one line"),
        (
            {**USER, "MLFLOW_TRACKING_PASSWORD": "hunter2\n"},
            "MLFLOW_TRACKING_PASSWORD: must be a password without line",
        ),
        ({"MLFLOW_TRACKING_TOKEN": "hunter2 hunter2"}, "MLFLOW_TRACKING_TOKEN: must be a token of visible ASCII"),
    ],
)
def test_credentials_that_can_not_be_sent_are_refused_by_the_name_of_their_variable(
    variables: dict[str, str], complaint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(SERVER, **variables)
    assert str(caught.value).startswith(complaint)
    assert "hunter2" not in str(caught.value)
