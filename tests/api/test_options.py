import pytest
from oci import regions

from ingestor.api.endpoint import aidp, mlflow, refuse_clear_text
from ingestor.model.errors import UsageError

PLATFORM = "ocid1.aidataplatform.oc1.phx.abc"
PREFIX = f"/20260430/aiDataPlatforms/{PLATFORM}/workspaces/ws/mlops/api/2.0/mlflow"


def test_a_region_gives_the_documented_address() -> None:
    endpoint = aidp(region="us-phoenix-1", platform_id=PLATFORM, workspace="ws")
    host = "https://aidp.us-phoenix-1.oci.oraclecloud.com"
    assert str(endpoint.create_url) == f"{host}{PREFIX}/runs/create"
    assert str(endpoint.search_experiments_url) == f"{host}{PREFIX}/experiments/search"
    assert endpoint.display == f"{host}/20260430/aiDataPlatforms/{PLATFORM}/workspaces/ws/mlops"


@pytest.mark.parametrize("region", regions.REGIONS)
def test_every_region_has_the_domain_of_its_realm(region: str) -> None:
    domain = regions.REALMS[regions.REGION_REALMS[region]]
    assert aidp(region=region, platform_id=PLATFORM, workspace="ws").create_url.host == f"aidp.{region}.oci.{domain}"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("phx", "aidp.us-phoenix-1.oci.oraclecloud.com"),
        ("PHX", "aidp.us-phoenix-1.oci.oraclecloud.com"),
        ("us-gov-ashburn-1", "aidp.us-gov-ashburn-1.oci.oraclegovcloud.com"),
        ("uk-gov-london-1", "aidp.uk-gov-london-1.oci.oraclegovcloud.uk"),
        ("eu-madrid-2", "aidp.eu-madrid-2.oci.oraclecloud.eu"),
    ],
)
def test_short_names_and_other_realms_are_known(region: str, host: str) -> None:
    assert aidp(region=region, platform_id=PLATFORM, workspace="ws").create_url.host == host


def test_an_unknown_region_is_refused_with_a_way_out() -> None:
    with pytest.raises(UsageError, match=r"--region 'us-nowhere-9'.*--endpoint"):
        aidp(region="us-nowhere-9", platform_id=PLATFORM, workspace="ws")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://h.example/api",
        "https://h.example/api/",
        "https://h.example/api/20260430",
        "HTTPS://H.example/api/20260430/",
    ],
)
def test_an_endpoint_replaces_the_host_and_the_version_stands_once(endpoint: str) -> None:
    found = aidp(region="us-phoenix-1", endpoint=endpoint, platform_id=PLATFORM, workspace="ws")
    assert str(found.create_url) == f"https://h.example/api{PREFIX}/runs/create"


def test_path_segments_are_encoded_once_and_stay_so() -> None:
    url = aidp(endpoint="https://h.example", platform_id="a/b c", workspace="ü%?#").create_url
    assert url.raw_path_qs == (
        "/20260430/aiDataPlatforms/a%2Fb%20c/workspaces/%C3%BC%25%3F%23/mlops/api/2.0/mlflow/runs/create"
    )


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_a_platform_or_workspace_that_would_change_the_path_is_refused(segment: str) -> None:
    with pytest.raises(UsageError, match="--workspace"):
        aidp(endpoint="https://h.example", platform_id=PLATFORM, workspace=segment)
    with pytest.raises(UsageError, match="--platform-id"):
        aidp(endpoint="https://h.example", platform_id=segment, workspace="ws")


def test_without_region_and_endpoint_there_is_no_address() -> None:
    with pytest.raises(UsageError, match="--region"):
        aidp(platform_id=PLATFORM, workspace="ws")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "h.example",
        "ftp://h.example",
        "https://",
        "https:///path",
        "file:/tmp/mlruns",
        "databricks",
        "https://h:99999",
        "https://h.example:port",
        "https://[::1",
        "https://h.example?x=secret",
        "https://h.example#secret",
        "https://user:secret@h.example",
        "https://secret@h.example",
    ],
)
def test_what_is_no_clean_address_is_refused_without_repeating_it(address: str) -> None:
    with pytest.raises(UsageError, match="--tracking-uri") as caught:
        mlflow(address)
    assert "secret" not in str(caught.value)
    with pytest.raises(UsageError, match="--endpoint"):
        aidp(endpoint=address, platform_id=PLATFORM, workspace="ws")


def test_a_password_in_an_address_is_pointed_to_bearer() -> None:
    with pytest.raises(UsageError, match="--auth bearer"):
        mlflow("https://user:secret@h.example")


@pytest.mark.parametrize("uri", ["https://h.example:8443/base", "https://h.example:8443/base/"])
def test_a_tracking_uri_may_have_a_port_and_a_path(uri: str) -> None:
    endpoint = mlflow(uri)
    assert str(endpoint.create_url) == "https://h.example:8443/base/api/2.0/mlflow/runs/create"
    assert endpoint.display == "https://h.example:8443/base"


@pytest.mark.parametrize("host", ["h.example", "10.0.0.1", "128.0.0.1", "localhost.example", "[2001:db8::1]"])
def test_credentials_do_not_travel_in_clear(host: str) -> None:
    with pytest.raises(UsageError, match="not encrypted"):
        refuse_clear_text(mlflow(f"http://{host}:5000"))
    refuse_clear_text(mlflow(f"https://{host}:5000"))


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "[::1]"])
def test_this_machine_may_be_spoken_to_in_clear(host: str) -> None:
    refuse_clear_text(mlflow(f"http://{host}:5000"))
