import os
import subprocess
import sys

import pytest
from oci import regions

from ingestor.api.options import AuthOptions, TargetOptions, aidp, check, mlflow
from ingestor.api.values import AuthKind
from ingestor.model.errors import UsageError

PLATFORM = "ocid1.aidataplatform.oc1.phx.abc"
PREFIX = f"/20260430/aiDataPlatforms/{PLATFORM}/workspaces/ws/mlops/api/2.0/mlflow"


def test_a_region_gives_the_documented_address() -> None:
    endpoint = aidp(region="us-phoenix-1", platform_id=PLATFORM, workspace="ws")
    host = "https://aidp.us-phoenix-1.oci.oraclecloud.com"
    assert str(endpoint.url("runs/create")) == f"{host}{PREFIX}/runs/create"
    assert str(endpoint.url("experiments/search")) == f"{host}{PREFIX}/experiments/search"
    assert endpoint.display == f"{host}/20260430/aiDataPlatforms/{PLATFORM}/workspaces/ws/mlops"


@pytest.mark.parametrize("region", regions.REGIONS)
def test_every_region_has_the_domain_of_its_realm(region: str) -> None:
    domain = regions.REALMS[regions.REGION_REALMS[region]]
    assert aidp(region=region, platform_id=PLATFORM, workspace="ws").url("").host == f"aidp.{region}.oci.{domain}"


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
    assert aidp(region=region, platform_id=PLATFORM, workspace="ws").url("").host == host


def test_an_unknown_region_is_refused_with_advice() -> None:
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
def test_an_endpoint_replaces_the_host_and_the_version_appears_once(endpoint: str) -> None:
    found = aidp(region="us-phoenix-1", endpoint=endpoint, platform_id=PLATFORM, workspace="ws")
    assert str(found.url("runs/create")) == f"https://h.example/api{PREFIX}/runs/create"


def test_path_segments_are_encoded_once() -> None:
    url = aidp(endpoint="https://h.example", platform_id="a/b c", workspace="ü%?#").url("runs/create")
    assert url.raw_path_qs == (
        "/20260430/aiDataPlatforms/a%2Fb%20c/workspaces/%C3%BC%25%3F%23/mlops/api/2.0/mlflow/runs/create"
    )


@pytest.mark.parametrize("uri", ["https://h.example:8443/base", "https://h.example:8443/base/"])
def test_a_tracking_uri_may_have_a_port_and_a_path(uri: str) -> None:
    endpoint = mlflow(uri)
    assert str(endpoint.url("runs/create")) == "https://h.example:8443/base/api/2.0/mlflow/runs/create"
    assert endpoint.display == "https://h.example:8443/base"


@pytest.mark.parametrize(
    "host",
    [
        "a..b",
        ".a",
        "a" * 64 + ".example",
        "a." * 140 + "b",
        "<host>",
        "a*b",
        "a%20b",
        "[::1]x",
        "[v1.a]",
        "1",
        "256.1.1.1",
    ],
)
def test_a_host_that_can_not_be_looked_up_is_refused_before_anything_is_sent(host: str) -> None:
    with pytest.raises(UsageError, match="must be http"):
        mlflow(f"http://{host}:5000")


@pytest.mark.parametrize(
    "host", ["a_b", "A.example.", "xn--bcher-kva.example", "a-b.c", "[2001:db8::1]", "10.0.0.1", "1a"]
)
def test_a_host_that_can_be_looked_up_is_accepted(host: str) -> None:
    assert mlflow(f"http://{host}:5000").display == f"http://{host.lower()}:5000"


@pytest.mark.parametrize("variable", ["[", "[1]", "7"])
def test_a_region_table_that_the_sdk_can_not_read_is_named(variable: str) -> None:
    script = (
        "from ingestor.api.options import aidp\n"
        "from ingestor.model.errors import UsageError\n"
        "try: aidp(region='us-nowhere-9', platform_id='p', workspace='w')\n"
        "except UsageError as error: print(error)"
    )
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "OCI_REGION_METADATA": variable}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert said.startswith("--region 'us-nowhere-9'")
    assert "OCI_REGION_METADATA" in said


def check_address(address: str, kind: AuthKind) -> None:
    check(TargetOptions(endpoint=mlflow(address), auth=AuthOptions(kind=kind), connections=1, timeout=1.0))


@pytest.mark.parametrize("host", ["h.example", "10.0.0.1", "128.0.0.1", "localhost.example", "[2001:db8::1]"])
def test_credentials_are_not_sent_unencrypted(host: str) -> None:
    with pytest.raises(UsageError, match="not encrypted"):
        check_address(f"http://{host}:5000", AuthKind.BEARER)
    check_address(f"https://{host}:5000", AuthKind.BEARER)
    check_address(f"http://{host}:5000", AuthKind.NONE)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "[::1]"])
def test_credentials_may_be_sent_unencrypted_to_this_machine(host: str) -> None:
    check_address(f"http://{host}:5000", AuthKind.BEARER)


def test_an_address_with_an_impossible_host_is_refused_without_quoting_it() -> None:
    with pytest.raises(UsageError, match="must be http") as caught:
        mlflow("https://secret[")
    assert "secret" not in str(caught.value)
