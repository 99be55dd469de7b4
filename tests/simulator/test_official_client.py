import asyncio
from collections.abc import Iterator
from pathlib import Path

import oci
import pytest
from aidp_python_client.aidataplatform_dp import MLOpsClient
from aidp_python_client.aidataplatform_dp.models import (
    CreateExperimentRunDetails,
    CreateExperimentRunResponseDetails,
    Dataset,
    DatasetInput,
    DeleteExperimentRunDetails,
    ExperimentRunMetric,
    ExperimentRunParam,
    ExperimentRunTag,
    ListExperimentRunsDetails,
    ListExperimentsDetails,
    LogExperimentRunBatchDetails,
    LogExperimentRunInputsDetails,
    UpdateExperimentRunDetails,
)
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, InjectedFault, SimulatorOptions
from ingestor.simulator.server import Simulator

DETAILS = CreateExperimentRunDetails(
    experiment_id="12",
    run_name="näme",
    start_time=1_700_000_000_123,
    tags=[ExperimentRunTag(key="k", value="v"), ExperimentRunTag(key="l", value="w")],
)


class Official:
    """The official client, with a key that the simulator knows."""

    def __init__(self, directory: Path) -> None:
        key = generate_private_key(65537, 2048)
        public = directory / "public.pem"
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        self._config = {
            "tenancy": "ocid1.tenancy.oc1..example",
            "user": "ocid1.user.oc1..example",
            "fingerprint": ":".join(["ab"] * 16),
            "key_content": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
            "region": "us-ashburn-1",
        }
        key_id = "/".join(self._config[part] for part in ("tenancy", "user", "fingerprint"))
        self.options = SimulatorOptions(public_key_file=public, key_id=key_id)
        self._clients: list[MLOpsClient] = []

    async def call(self, simulator: Simulator, operation: str, *arguments: object, **options: object) -> oci.Response:
        client = MLOpsClient(self._config, service_endpoint=simulator.url)
        self._clients.append(client)
        options.setdefault("retry_strategy", oci.retry.NoneRetryStrategy())
        return await asyncio.to_thread(getattr(client, operation), PLATFORM_ID, WORKSPACE_KEY, *arguments, **options)

    def close(self) -> None:
        for client in self._clients:
            client.base_client.session.close()


@pytest.fixture
def official(tmp_path: Path) -> Iterator[Official]:
    client = Official(tmp_path)
    yield client
    client.close()


async def test_it_creates_a_run_and_reads_the_answer(official: Official) -> None:
    async with Simulator(official.options) as simulator:
        response = await official.call(
            simulator, "create_experiment_run", DETAILS, opc_retry_token="t", opc_request_id="mine"
        )
        assert isinstance(response.data, CreateExperimentRunResponseDetails)
        run = response.data.run
        assert response.status == 200
        assert response.headers["etag"]
        assert response.request_id.startswith("mine/")
        assert (run.info.experiment_id, run.info.run_name) == ("12", "näme")
        assert (run.info.start_time, run.info.status) == (1_700_000_000_123, "RUNNING")
        assert [(tag.key, tag.value) for tag in run.data.tags] == [("k", "v"), ("l", "w")]
        assert (run.data.metrics, run.inputs.dataset_inputs, run.outputs.model_outputs) == ([], [], [])
        assert simulator.statistics.runs_by_token() == {"t": 1}


async def test_its_own_retries_make_one_run(official: Official) -> None:
    faults = {InjectedFault.RESET_AFTER: 0.5}
    signed = official.options
    options = SimulatorOptions(public_key_file=signed.public_key_file, key_id=signed.key_id, faults=faults, seed=1)
    strategy = oci.retry.RetryStrategyBuilder(
        max_attempts=8, retry_base_sleep_time_seconds=0, retry_max_wait_between_calls_seconds=0
    ).get_retry_strategy()
    async with Simulator(options) as simulator:
        response = await official.call(
            simulator, "create_experiment_run", DETAILS, opc_retry_token="t", retry_strategy=strategy
        )
        assert response.status == 200
        assert simulator.statistics.faults[InjectedFault.RESET_AFTER] == 1
        assert (simulator.statistics.run_count, simulator.statistics.token_conflicts) == (1, 0)


async def test_a_key_that_is_not_known_is_refused(official: Official, tmp_path_factory: pytest.TempPathFactory) -> None:
    stranger = Official(tmp_path_factory.mktemp("stranger"))
    async with Simulator(official.options) as simulator:
        with pytest.raises(oci.exceptions.ServiceError) as refusal:
            await stranger.call(simulator, "create_experiment_run", DETAILS)
        assert (refusal.value.status, refusal.value.code) == (401, "NotAuthenticated")
    stranger.close()


async def test_it_reads_the_refusals(official: Official) -> None:
    async with Simulator(official.options) as simulator:
        with pytest.raises(oci.exceptions.ServiceError) as refusal:
            await official.call(simulator, "create_experiment_run", CreateExperimentRunDetails(experiment_id=""))
        assert (refusal.value.status, refusal.value.code) == (404, "NotAuthorizedOrNotFound")
        assert "experiment" in refusal.value.message


async def test_it_finds_runs_and_experiments(official: Official) -> None:
    async with Simulator(official.options) as simulator:
        created = await official.call(simulator, "create_experiment_run", DETAILS)
        run_id = created.data.run.info.run_id
        search = ListExperimentRunsDetails(experiment_ids=["12"], filter="tags.`k` = 'v'", max_results=10)
        found = await official.call(simulator, "list_experiment_runs", search)
        assert [run.info.run_id for run in found.data.runs] == [run_id]
        got = await official.call(simulator, "get_experiment_run_by_id", run_id)
        assert got.data.run.info.run_id == run_id
        listed = await official.call(simulator, "list_experiments", ListExperimentsDetails(max_results=1))
        assert [one.experiment_id for one in listed.data.experiments] == ["0"]


async def test_it_completes_a_run_and_deletes_it(official: Official) -> None:
    async with Simulator(official.options) as simulator:
        created = await official.call(simulator, "create_experiment_run", DETAILS)
        run_id = created.data.run.info.run_id
        batch = LogExperimentRunBatchDetails(
            run_id=run_id,
            metrics=[ExperimentRunMetric(key="loss", value=0.5, timestamp=1, step=2)],
            params=[ExperimentRunParam(key="lr", value="0.1")],
            tags=[ExperimentRunTag(key="k", value="new")],
        )
        await official.call(simulator, "log_experiment_run_batch", batch, opc_retry_token="b")
        dataset = Dataset(name="trees", digest="abc", source_type="local", source="{}")
        inputs = LogExperimentRunInputsDetails(run_id=run_id, dataset_inputs=[DatasetInput(dataset=dataset, tags=[])])
        await official.call(simulator, "log_experiment_run_inputs", inputs)
        update = UpdateExperimentRunDetails(run_id=run_id, status="FINISHED", end_time=1_700_000_009_999)
        updated = await official.call(simulator, "update_experiment_run", update)
        assert (updated.data.run_info.status, updated.data.run_info.end_time) == ("FINISHED", 1_700_000_009_999)

        run = (await official.call(simulator, "get_experiment_run_by_id", run_id)).data.run
        assert [(one.key, one.value, one.step) for one in run.data.metrics] == [("loss", 0.5, 2)]
        assert [(one.key, one.value) for one in run.data.params] == [("lr", "0.1")]
        assert {tag.key: tag.value for tag in run.data.tags} == {"k": "new", "l": "w"}
        assert [one.dataset.name for one in run.inputs.dataset_inputs] == ["trees"]

        await official.call(simulator, "delete_experiment_run", DeleteExperimentRunDetails(run_id=run_id))
        search = ListExperimentRunsDetails(experiment_ids=["12"], run_view_type="DELETED_ONLY")
        found = await official.call(simulator, "list_experiment_runs", search)
        assert [one.info.lifecycle_stage for one in found.data.runs] == ["deleted"]
