import json
from pathlib import Path

import pytest

from ingestor.cli.config import show
from ingestor.model.errors import UsageError
from ingestor.settings.load import load
from ingestor.settings.options import Settings
from tests.settings.environment import environment


def shown(flags: dict[str, object], **variables: str) -> str:
    with environment(**variables):
        return show(load(flags))


def test_the_table_has_every_setting_with_its_value_and_its_origin_and_begins_with_what_is_set() -> None:
    rows = {line.split()[0]: line.split()[1:] for line in shown({"rate": "5"}, INGESTOR_BATCH="b").splitlines()}
    assert list(rows)[:3] == ["batch", "rate", "region"]
    assert sorted(rows) == sorted([*Settings.model_fields, "proxy"])
    assert rows["rate"] == ["5.0", "--rate"]
    assert rows["batch"] == ["b", "INGESTOR_BATCH"]
    assert rows["concurrency"] == ["auto", "default"]
    assert rows["region"] == ["(not", "set)", "default"]


def test_a_long_identifier_is_not_shortened() -> None:
    platform = "ocid1.aidataplatform.oc1.iad." + "a" * 60
    assert platform in shown({"platform_id": platform}).split()


def test_json_has_the_same(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("rate = 5\n")
    rows = json.loads(shown({"output": "json"}, INGESTOR_CONFIG=str(path)))
    assert list(rows) == [*Settings.model_fields, "proxy"]
    assert rows["rate"] == {"value": 5.0, "from": "file", "name": f"{path}: rate"}
    assert rows["output"] == {"value": "json", "from": "flag", "name": "--output"}
    assert rows["region"] == {"value": None, "from": "default", "name": None}


def test_the_proxy_in_use_is_shown_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://me:s3cret@proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    table = shown({"tracking_uri": "https://service.example"})
    assert ["proxy", "http://me:********@proxy.example:3128", "HTTPS_PROXY"] in map(str.split, table.splitlines())
    rows = json.loads(shown({"tracking_uri": "https://service.example", "output": "json"}))
    assert rows["proxy"] == {
        "value": "http://me:********@proxy.example:3128",
        "from": "environment",
        "name": "HTTPS_PROXY",
    }
    assert shown({"tracking_uri": "https://inside.example"}).splitlines()[-1].split() == ["proxy", "(none)", "default"]
    assert "s3cret" not in table + json.dumps(rows)


def test_a_wrong_proxy_is_not_shown_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("https_proxy", raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy.example:1080")
    with pytest.raises(UsageError, match="HTTPS_PROXY names a SOCKS proxy"):
        shown({"tracking_uri": "https://service.example"})


def test_a_hostile_path_stays_on_its_line() -> None:
    assert shown({"state": "a\x1b[2J\nb"}).replace("\n", "").isprintable()
