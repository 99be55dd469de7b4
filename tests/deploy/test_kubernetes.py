"""The manifests are valid, and say what the exit codes, the state and the signals need."""

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

import ingestor
from ingestor.app.options import BatchOptions
from tests.deploy.places import MANIFESTS, check_arguments, documents, found

KINDS = {"Job": "job.yaml", "CronJob": "cronjob.yaml", "Deployment": "sidecar.yaml"}

Pod = dict[str, Any]


def pod_of(kind: str) -> Pod:
    (manifest,) = [it for it in MANIFESTS if it.name == KINDS[kind]]
    (document,) = [it for it in documents(manifest) if it["kind"] == kind]
    templates = [it for it in found(document, "template") if isinstance(it, dict) and "spec" in it]
    return cast("Pod", templates[0]["spec"])


def ingestor_of(pod: Pod) -> Pod:
    containers = [*pod.get("initContainers", []), *pod["containers"]]
    (container,) = [it for it in containers if it["name"] == "ingestor"]
    return cast("Pod", container)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda it: it.name)
def test_a_manifest_is_valid_for_the_oldest_and_a_new_kubernetes(manifest: Path) -> None:
    for version in ("1.29", "1.33"):
        program = Path(sys.executable).with_name("kubernetes-validate")
        command = [str(program), "-k", version, "--strict", str(manifest)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_a_job_ends_for_good_at_the_codes_that_another_try_does_not_change(kind: str) -> None:
    (manifest,) = [it for it in MANIFESTS if it.name == KINDS[kind]]
    document = next(it for it in documents(manifest) if it["kind"] == kind)
    (policy,) = [cast("Pod", it) for it in found(document, "podFailurePolicy")]
    (codes,) = [cast("list[int]", it) for it in found(policy, "values")]
    assert codes == [2, 3, 4]  # Kubernetes refuses a list that does not ascend
    assert policy["rules"][0]["action"] == "Ignore"  # the first rule that matches counts
    assert pod_of(kind)["restartPolicy"] == "Never"


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_outlives_the_pod(kind: str) -> None:
    pod = pod_of(kind)
    (mount,) = [it for it in ingestor_of(pod)["volumeMounts"] if it["mountPath"] == "/var/lib/ingestor"]
    (volume,) = [it for it in pod["volumes"] if it["name"] == mount["name"]]
    assert "persistentVolumeClaim" in volume


@pytest.mark.parametrize("kind", KINDS)
def test_the_grace_period_is_longer_than_the_drain(kind: str) -> None:
    pod = pod_of(kind)
    drains = [it.partition("=")[2] for it in ingestor_of(pod)["args"] if it.startswith("--drain-timeout=")]
    drain = float(drains[0]) if drains else BatchOptions().drain_timeout
    assert pod["terminationGracePeriodSeconds"] > drain + 20


@pytest.mark.parametrize("kind", KINDS)
def test_a_container_fits_the_restricted_profile(kind: str) -> None:
    pod = pod_of(kind)
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*pod.get("initContainers", []), *pod["containers"]]:
        context = container["securityContext"]
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context["readOnlyRootFilesystem"]
        assert context["allowPrivilegeEscalation"] is False
        assert "memory" in container["resources"]["limits"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_network_policy_restricts_no_application(kind: str) -> None:
    policy = next(it for manifest in MANIFESTS for it in documents(manifest) if it["kind"] == "NetworkPolicy")
    (selector,) = [cast("dict[str, str]", it) for it in found(policy, "matchLabels")]
    (manifest,) = [it for it in MANIFESTS if it.name == KINDS[kind]]
    document = next(it for it in documents(manifest) if it["kind"] == kind)
    (template,) = [it for it in found(document, "template") if isinstance(it, dict) and "spec" in it]
    is_selected = selector.items() <= template["metadata"]["labels"].items()
    assert is_selected == (kind != "Deployment")


def test_the_sidecar_does_not_decide_whether_the_application_is_ready() -> None:
    sidecar = ingestor_of(pod_of("Deployment"))
    assert sidecar["restartPolicy"] == "Always"
    assert "readinessProbe" not in sidecar
    assert "lifecycle" not in sidecar
    assert sidecar["livenessProbe"]["httpGet"]["path"] == "/livez"


@pytest.mark.parametrize("kind", KINDS)
def test_the_program_accepts_the_arguments_and_the_settings(kind: str, tmp_path: Path) -> None:
    settings = next(it for manifest in MANIFESTS for it in documents(manifest) if it["kind"] == "ConfigMap")
    file = tmp_path / "ingestor.toml"
    file.write_text(cast("dict[str, str]", settings["data"])["ingestor.toml"])
    command, *words = ingestor_of(pod_of(kind))["args"]
    assert command == "run"
    arguments = [it.replace("/etc/ingestor/ingestor.toml", "ingestor.toml") for it in words]
    assert check_arguments(arguments, tmp_path) == ""


def test_three_values_are_marked_for_change() -> None:
    (settings,) = [it for it in MANIFESTS if it.name == "settings.yaml"]
    marked = [line.split()[0] for line in settings.read_text().splitlines() if line.endswith("# CHANGE")]
    assert marked == ["region", "platform_id", "workspace"]


def test_the_image_has_the_version_of_the_program() -> None:
    images = {str(it) for manifest in MANIFESTS for document in documents(manifest) for it in found(document, "image")}
    assert images == {f"ingestor:{ingestor.__version__}", "busybox:stable"}
