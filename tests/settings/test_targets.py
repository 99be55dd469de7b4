"""A target of a stronger place replaces one of a weaker place."""

from pathlib import Path

import pytest

from ingestor.model.errors import UsageError
from ingestor.settings.load import Loaded, load
from tests.settings.environment import environment

AIDP = 'region = "us-ashburn-1"\nplatform_id = "ocid1.x"\nworkspace = "w"\n'


def loaded(directory: Path, file: str, flags: dict[str, object], **variables: str) -> Loaded:
    path = directory / "settings.toml"
    path.write_text(file)
    with environment(**variables):
        return load(flags, str(path), sending=True)


def test_an_endpoint_on_the_command_line_replaces_the_region_in_the_file(tmp_path: Path) -> None:
    result = loaded(tmp_path, AIDP, {"endpoint": "http://127.0.0.1:1"})
    settings = result.settings
    assert (settings.region, settings.endpoint) == (None, "http://127.0.0.1:1")
    assert (settings.platform_id, settings.workspace) == ("ocid1.x", "w")
    assert result.warnings == [f"{tmp_path}/settings.toml: region is not used: --endpoint replaces it"]


def test_a_tracking_uri_in_the_environment_replaces_the_whole_target_in_the_file(tmp_path: Path) -> None:
    result = loaded(tmp_path, AIDP, {}, INGESTOR_TRACKING_URI="http://127.0.0.1:5000")
    settings = result.settings
    assert (settings.region, settings.platform_id, settings.workspace) == (None, None, None)
    assert [warning.split(": ", 1)[1] for warning in result.warnings] == [
        f"{name} is not used: INGESTOR_TRACKING_URI replaces it" for name in ("platform_id", "region", "workspace")
    ]


def test_a_region_on_the_command_line_replaces_a_tracking_uri_in_the_file(tmp_path: Path) -> None:
    flags: dict[str, object] = {"region": "us-ashburn-1", "platform_id": "p", "workspace": "w"}
    assert loaded(tmp_path, 'tracking_uri = "http://h"\n', flags).settings.tracking_uri is None


def test_two_targets_in_one_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--endpoint: give only one of them"):
        loaded(tmp_path, "", {"region": "us-ashburn-1", "endpoint": "http://h", "platform_id": "p", "workspace": "w"})


@pytest.mark.parametrize("placeholder", ["…", "ocid1.aidataplatform.oc1…", "...", "<your-workspace>", "OCID", "KEY"])
def test_the_placeholder_of_an_example_is_refused(tmp_path: Path, placeholder: str) -> None:
    with pytest.raises(UsageError) as caught:
        loaded(tmp_path, AIDP, {"workspace": placeholder, "platform_id": placeholder})
    assert str(caught.value).splitlines() == [
        f"{flag}: must be your own value, not the placeholder of an example"
        for flag in ("--platform-id", "--workspace")
    ]
