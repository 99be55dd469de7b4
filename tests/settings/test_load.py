import os
from pathlib import Path

import pytest

from ingestor.model.errors import ExitCode, UsageError
from ingestor.settings.load import Loaded, load
from ingestor.settings.places import Place
from tests.settings.environment import environment


def config(tmp_path: Path, text: str) -> str:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def refusal(flags: dict[str, object], path: str | None = None, **variables: str) -> list[str]:
    with environment(**variables), pytest.raises(UsageError) as caught:
        load(flags, path)
    assert caught.value.exit_code == ExitCode.USAGE
    return str(caught.value).splitlines()


def loaded(flags: dict[str, object], path: str | None = None, **variables: str) -> Loaded:
    with environment(**variables):
        return load(flags, path)


def test_flags_override_the_environment_the_file_and_the_default(tmp_path: Path) -> None:
    path = config(tmp_path, "rate = 1\nconcurrency = 1\ntimeout = 1\n")
    result = loaded({"rate": "3"}, path, INGESTOR_RATE="2", INGESTOR_CONCURRENCY="2")
    settings = result.settings
    assert (settings.rate, settings.concurrency, settings.timeout, settings.max_attempts) == (3, 2, 1, 8)


def test_a_byte_order_mark_before_the_file_is_skipped(tmp_path: Path) -> None:
    assert loaded({}, config(tmp_path, "\ufeffrate = 7\n")).settings.rate == 7


def test_every_value_remembers_where_it_came_from(tmp_path: Path) -> None:
    path = config(tmp_path, "rate = 1\nconcurrency = 1\ntimeout = 1\n")
    given = loaded({"rate": "3"}, path, INGESTOR_RATE="2", INGESTOR_CONCURRENCY="2").given
    assert {name: (one.place, one.name) for name, one in given.items()} == {
        "rate": (Place.FLAG, "--rate"),
        "concurrency": (Place.ENVIRONMENT, "INGESTOR_CONCURRENCY"),
        "timeout": (Place.FILE, f"{path}: timeout"),
    }


def test_a_long_path_of_the_file_is_not_shortened(tmp_path: Path) -> None:
    folder = tmp_path / ("f" * 200)
    folder.mkdir()
    path = config(folder, "rate = -1\n")
    assert refusal({}, path) == [f"{path}: rate: must be greater than 0, got -1"]
    missing = str(folder / "missing.toml")
    assert refusal({}, missing)[0].startswith(f"--config: {missing} can't be read")


def test_what_a_stronger_place_overrides_need_not_be_valid(tmp_path: Path) -> None:
    path = config(tmp_path, 'rate = "fast"\n')
    assert loaded({"rate": "3"}, path, INGESTOR_RATE="slow").settings.rate == 3


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, "rate = 1\n")
    assert loaded({}, INGESTOR_CONFIG=path).settings.rate == 1


def test_the_file_that_the_flag_names_overrides_the_one_in_the_environment(tmp_path: Path) -> None:
    path = config(tmp_path, "rate = 1\n")
    assert loaded({}, path, INGESTOR_CONFIG=str(tmp_path / "missing.toml")).settings.rate == 1


def test_an_empty_variable_counts_as_not_set() -> None:
    assert loaded({}, INGESTOR_RATE="", INGESTOR_CONFIG="").settings.rate is None


def test_the_file_may_be_a_pipe(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b"rate = 7\n")
    os.close(writer)
    try:
        assert loaded({}, f"/dev/fd/{reader}").settings.rate == 7
    finally:
        os.close(reader)


def test_an_error_names_the_option_as_it_was_given(tmp_path: Path) -> None:
    path = config(tmp_path, "rate = -1\n")
    assert refusal({"rate": "-1"}) == ["--rate: must be greater than 0, got -1"]
    assert refusal({}, INGESTOR_RATE="-1") == ["INGESTOR_RATE: must be greater than 0, got -1"]
    assert refusal({}, path) == [f"{path}: rate: must be greater than 0, got -1"]


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    path = config(tmp_path, "timeout = 0\nratte = 1\n")
    with environment(INGESTOR_CONCURRENCY="many"), pytest.raises(UsageError) as caught:
        load({"state": "", "output": "xml"}, path, sending=True)
    assert str(caught.value).splitlines() == [
        f"{path}: ratte: no such option; did you mean rate?",
        "--state: must be a path",
        "INGESTOR_CONCURRENCY: must be auto or a whole number, got many",
        f"{path}: timeout: must be greater than 0, got 0",
        "--output: must be 'text' or 'json', got xml",
        "the target is missing: give --region or --endpoint (AIDP), or --tracking-uri (MLflow)",
    ]


@pytest.mark.parametrize(
    ("name", "value", "must"),
    [
        ("rate", "fast", "must be a number, got fast"),
        ("rate", "", "must be a number, got ''"),
        ("rate", "0", "must be greater than 0, got 0"),
        ("rate", "inf", "must be a finite number, got inf"),
        ("rate", "nan", "must be a finite number, got nan"),
        ("rate", True, "must be a number, not true or false"),
        ("concurrency", True, "must be a number, not true or false"),
        ("batch", True, "must be text, in quotes, got true"),
        ("concurrency", "0", "must be at least 1, got 0"),
        ("concurrency", "10001", "must be at most 10000, got 10001"),
        ("concurrency", 1.5, "must be a whole number, got 1.5"),
        ("drain_timeout", "-0.1", "must be at least 0, got -0.1"),
        ("stamp", "perhaps", "must be true or false, got perhaps"),
        ("progress", "yes", "must be 'auto', 'on' or 'off', got yes"),
        ("batch", "", "must be 1 to 100 printable characters"),
        ("batch", "b" * 101, "must be 1 to 100 printable characters"),
        ("batch", "two\nlines", "must be 1 to 100 printable characters"),
        ("batch", ["a"], "must be text, in quotes, got an array"),
        ("state", 5, "must be a path, in quotes, got 5"),
        ("region", "evil.example/", "must be a region's name, such as us-ashburn-1"),
        ("platform_id", "a/b", "must not be empty or contain spaces or slashes"),
        ("workspace", "..", "must not be empty or contain spaces or slashes"),
        ("workspace", "", "must not be empty or contain spaces or slashes"),
        ("dh_user_principal", "a\r\nx-evil: 1", "must be one line of printable text, without spaces around it"),
        ("log", "a\0b", "must be a path"),
        ("log", "~nobody-has-this-name/x", "must not begin with ~: there is no such home directory"),
    ],
)
def test_a_value_that_is_not_usable_is_refused_in_plain_words(name: str, value: object, must: str) -> None:
    assert refusal({name: value}) == [f"--{name.replace('_', '-')}: {must}"]


@pytest.mark.parametrize(
    "address",
    [
        "aidp.example.com",
        "ftp://aidp.example.com",
        "https://",
        "https://user:hunter2@aidp.example.com",
        "https://aidp.example.com?token=hunter2",
        "https://aidp.example.com#hunter2",
        "https://aidp.example.com:99999",
        "https://[::1",
        "https://aidp.example.com/a b",
        "https://aidp.example.com\\@evil.example",
        "https://aidp.example.com:port",
        "https://hunter2@aidp.example.com",
        "https:///path",
        "file:/tmp/mlruns",
        "databricks",
    ],
)
def test_an_address_that_is_not_plain_is_refused_without_repeating_it(address: str) -> None:
    for name in ("endpoint", "tracking_uri"):
        (line,) = refusal({name: address})
        assert line.endswith("must be http(s)://host[:port][/path], without user, password, query or fragment")
        assert "hunter2" not in line


def test_a_hostile_value_reaches_no_terminal_raw() -> None:
    (line,) = refusal({"rate": "\x1b[2J" + "9" * 1000 + "x"})
    assert line.isprintable()
    assert len(line) < 200


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("platform-id = 'x'", "platform-id: no such option; did you mean platform_id?"),
        ("zzz = 1", "zzz: no such option"),
        ("[speed]\nrate = 1", "[speed]: tables are not supported: write every option at the top level"),
        ("config = 'x'", "config: no such option; did you mean oci_config?"),
    ],
)
def test_an_unknown_key_is_an_error_that_names_file_and_key(tmp_path: Path, text: str, complaint: str) -> None:
    path = config(tmp_path, text)
    assert refusal({}, path) == [f"{path}: {complaint}"]


def test_a_file_that_is_not_there_is_an_error_that_names_who_asked_for_it(tmp_path: Path) -> None:
    path = str(tmp_path / "missing.toml")
    assert refusal({}, path) == [f"--config: {path} can't be read: No such file or directory"]
    assert refusal({}, INGESTOR_CONFIG=path) == [f"INGESTOR_CONFIG: {path} can't be read: No such file or directory"]
    assert refusal({}, str(tmp_path)) == [f"--config: {tmp_path} can't be read: Is a directory"]


@pytest.mark.parametrize("content", [b"rate = ", b"rate = 1\nrate = 2", b"\xff\xfe", b"rate"])
def test_a_file_that_is_not_toml_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    (line,) = refusal({}, str(path))
    assert line.startswith(f"--config: {path} is not valid TOML: ")


def test_an_unknown_variable_is_a_warning_with_a_suggestion() -> None:
    warnings = loaded({}, INGESTOR_WORKSPASE="x", INGESTOR_PORT_80_TCP="tcp://x").warnings
    assert warnings == [
        "INGESTOR_PORT_80_TCP is not a setting",
        "INGESTOR_WORKSPASE is not a setting; did you mean INGESTOR_WORKSPACE?",
    ]


def test_an_unknown_variable_is_reported_in_addition_to_other_errors() -> None:
    lines = refusal({"rate": "x"}, INGESTOR_WORKSPASE="x")
    assert lines[-1] == "INGESTOR_WORKSPASE is not a setting; did you mean INGESTOR_WORKSPACE?"


def test_log_and_rejects_lie_in_the_state_directory_where_they_are_not_set() -> None:
    settings = loaded({"state": "elsewhere"}).settings
    assert settings.log == Path("elsewhere/log.jsonl")
    assert settings.rejects == Path("elsewhere/rejects.jsonl")


def test_a_path_may_begin_at_home() -> None:
    home = Path("~").expanduser()
    assert loaded({}, INGESTOR_STATE="~/state").settings.log == home / "state" / "log.jsonl"


def test_an_address_loses_its_last_slash() -> None:
    assert loaded({"endpoint": "https://h:8443/base/"}).settings.endpoint == "https://h:8443/base"


def test_authentication_is_an_api_key_for_aidp_and_none_for_a_tracking_server() -> None:
    assert loaded({"region": "r"}).settings.auth == "api-key"
    assert loaded({"tracking_uri": "http://h"}).settings.auth == "none"
    assert loaded({"tracking_uri": "http://h", "auth": "bearer"}).settings.auth == "bearer"
