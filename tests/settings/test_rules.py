import pytest

from ingestor.model.errors import UsageError
from ingestor.settings.load import load
from tests.settings.environment import environment

AIDP = {"region": "us-ashburn-1", "platform_id": "ocid1.x", "workspace": "w"}


def problems(flags: dict[str, object], **variables: str) -> list[str]:
    with environment(**variables):
        try:
            load(flags, sending=True)
        except UsageError as error:
            return str(error).splitlines()
    return []


@pytest.mark.parametrize(
    "flags",
    [
        AIDP,
        {**AIDP, "region": None, "endpoint": "http://127.0.0.1:8765"},
        {"tracking_uri": "http://127.0.0.1:5000"},
        {**AIDP, "auth": "bearer", "bearer_token_file": "token"},
    ],
)
def test_one_complete_target_is_enough(flags: dict[str, object]) -> None:
    assert problems({name: value for name, value in flags.items() if value}) == []


def test_a_target_is_needed_only_where_something_is_sent() -> None:
    with environment():
        assert load({}).settings.region is None
    assert problems({}) == ["the target is missing: give --region or --endpoint (AIDP), or --tracking-uri (MLflow)"]


def test_two_targets_are_refused_each_named_as_it_was_given() -> None:
    assert problems({**AIDP, "tracking_uri": "http://h"}) == ["--region and --tracking-uri: give only one of them"]


def test_aidp_needs_platform_and_workspace() -> None:
    assert problems({}, INGESTOR_REGION="us-ashburn-1") == [
        "--platform-id is missing: INGESTOR_REGION needs it",
        "--workspace is missing: INGESTOR_REGION needs it",
    ]


def test_a_tracking_server_has_no_platform_and_no_workspace() -> None:
    assert problems({"workspace": "w", "platform_id": "p"}, INGESTOR_TRACKING_URI="http://h") == [
        "--platform-id: can't be combined with INGESTOR_TRACKING_URI: remove one of the two",
        "--workspace: can't be combined with INGESTOR_TRACKING_URI: remove one of the two",
    ]


def test_bearer_needs_a_token_from_one_place() -> None:
    bearer: dict[str, object] = {**AIDP, "auth": "bearer"}
    assert problems(bearer) == ["the token is missing: bearer needs INGESTOR_BEARER_TOKEN or --bearer-token-file"]
    assert problems({**bearer, "bearer_token_file": "f"}, INGESTOR_BEARER_TOKEN="hunter2") == [
        "INGESTOR_BEARER_TOKEN and --bearer-token-file: give only one of them"
    ]


def test_a_token_that_is_not_used_is_a_warning() -> None:
    with environment(INGESTOR_BEARER_TOKEN="hunter2"):
        assert load(dict(AIDP), sending=True).warnings == ["INGESTOR_BEARER_TOKEN is not used: it needs --auth bearer"]
