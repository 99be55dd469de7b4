import os
from pathlib import Path

import pytest

from ingestor.api.credential_files import FileError
from ingestor.api.oci_config import ConfigFileError, find_config, read_section


def refusal(file: Path, text: str, name: str = "DEFAULT") -> str:
    file.write_text(text, newline="")
    with pytest.raises(ConfigFileError) as caught:
        read_section(file, name)
    return str(caught.value)


def test_a_profile_inherits_the_fields_of_the_default_profile(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[DEFAULT]\nuser=u\ntenancy=t\n[P]\nTenancy = mine\n")
    section = read_section(tmp_path / "config", "P")
    assert section.fields == {"user": "u", "tenancy": "mine"}
    assert section.own == {"tenancy"}


def test_a_byte_order_mark_and_windows_line_ends_are_skipped(tmp_path: Path) -> None:
    (tmp_path / "config").write_bytes(b"\xef\xbb\xbf[DEFAULT]\r\nuser=u\r\n")
    assert read_section(tmp_path / "config", "DEFAULT").fields == {"user": "u"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("user=s3cret\n", "line 1 stands before the first [profile]"),
        ("[DEFAULT]\ns3cret\n", "line 2 is not `name=value`"),
        ("[DEFAULT]\nuser=s3cret\nuser=s3cret\n", "line 3 sets a field a second time"),
        ("[P]\nuser=s3cret\n[P]\n", "line 3 begins a profile that occurs twice"),
        ("[DEFAULT]\n=s3cret\n", "line 2 is not `name=value`"),
        ("[DEFAULT]\nkey_content=s3cret\n", "key_content is not allowed"),
        ("[P]\nuser=s3cret\n", "there is no profile [DEFAULT] in this OCI config file"),
    ],
)
def test_a_malformed_file_is_refused_with_the_line_and_without_its_text(
    tmp_path: Path, text: str, problem: str
) -> None:
    reason = refusal(tmp_path / "config", text)
    assert problem in reason
    assert "s3cret" not in reason


@pytest.mark.parametrize("name", ["", "prod", "a\nb", "[PROD]", "\x1b[2J"])
def test_a_profile_that_does_not_exist_is_named_on_one_line(tmp_path: Path, name: str) -> None:
    reason = refusal(tmp_path / "config", "[PROD]\nuser=u\n", name)
    assert reason.startswith("there is no profile [")
    assert reason.isprintable()


def test_a_pipe_as_a_config_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigFileError, match="it is not a regular file"):
        read_section(tmp_path / "pipe", "DEFAULT")


def test_the_old_place_of_the_file_counts_where_there_is_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("OCI_CONFIG_FILE", raising=False)
    assert find_config(None) == tmp_path / ".oci" / "config"
    (tmp_path / ".oraclebmc").mkdir()
    (tmp_path / ".oraclebmc" / "config").write_text("[DEFAULT]\n")
    assert find_config(None) == tmp_path / ".oraclebmc" / "config"
    monkeypatch.setenv("OCI_CONFIG_FILE", "~/named")
    assert find_config(None) == tmp_path / "named"


def test_a_home_directory_that_can_not_be_searched_has_no_config_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / ("a" * 300)))
    monkeypatch.delenv("OCI_CONFIG_FILE", raising=False)
    with pytest.raises(ConfigFileError, match="File name too long"):
        read_section(find_config(None), "DEFAULT")


def test_a_file_below_a_home_directory_that_does_not_exist_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileError, match="no such home directory"):
        find_config(Path("~nosuchuser/config"))
