import re
import tomllib
from pathlib import Path

import pytest

from ingestor.cli.main import main
from ingestor.settings.options import Settings, option_of
from tests.settings.environment import environment

OPTIONS = {name for name, field in Settings.model_fields.items() if not option_of(field).secret}


def written(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    with environment():
        assert main(["config", "--init", "--config", "-", *flags]) == 0
    return capsys.readouterr().out


def test_the_settings_file_has_every_option_once_and_only_the_given_ones_are_set(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = written(capsys, "--region", "us-phoenix-1", "--rate", "20", "--no-stamp")
    assert tomllib.loads(text) == {"region": "us-phoenix-1", "rate": 20.0, "stamp": False}
    assert sorted(re.findall(r"^(?:# )?([a-z_]+) = ", text, re.MULTILINE)) == sorted(OPTIONS)


def test_every_commented_value_is_a_valid_one(capsys: pytest.CaptureFixture[str]) -> None:
    text = re.sub(r"^# ([a-z_]+ = )", r"\1", written(capsys), flags=re.MULTILINE)
    values = tomllib.loads(text)
    assert values.keys() == OPTIONS
    assert set(dict(Settings.model_validate(values))) >= OPTIONS


def test_the_file_says_by_which_variables_secrets_are_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert "INGESTOR_BEARER_TOKEN" in written(capsys)


def test_the_comments_speak_of_keys_and_not_of_flags(capsys: pytest.CaptureFixture[str]) -> None:
    body = written(capsys).split("\n\n", 1)[1]
    assert re.findall(r"--[a-z][a-z-]*", body) == []


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    with environment():
        assert main(["config", "--init", "--config", str(path)]) == 0
        assert str(path) in capsys.readouterr().out
        path.write_text("rate = 1\n")
        assert main(["config", "--init", "--config", str(path)]) == 2
    assert path.read_text() == "rate = 1\n"
    assert "exists already" in capsys.readouterr().err


def test_a_file_that_can_not_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with environment():
        assert main(["config", "--init", "--config", str(tmp_path / "missing" / "x.toml")]) == 2
    assert "missing/x.toml can't be written: No such file or directory" in capsys.readouterr().err
