import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ingestor.api.schema import CreateExperimentRunResponseDetails as Created
from ingestor.api.schema import Error, read

FULL: dict[str, object] = {
    "run": {
        "data": {
            "metrics": [{"key": "loss", "step": 3, "timestamp": 1_700_000_000_001, "value": 0.25}],
            "params": [{"key": "lr", "value": "0.1"}],
            "tags": [{"key": "team", "value": "vision"}],
        },
        "info": {
            "artifact_uri": "oci://bucket@ns/7/abc",
            "end_time": 1_700_000_100_000,
            "experiment_id": "7",
            "lifecycle_stage": "active",
            "run_id": "abc",
            "run_name": "first",
            "run_uuid": "abc",
            "start_time": 1_700_000_000_000,
            "status": "RUNNING",
            "user_id": "u",
        },
        "inputs": {
            "dataset_inputs": [
                {
                    "dataset": {
                        "digest": "d",
                        "name": "n",
                        "profile": "p",
                        "schema": "s",
                        "source": "src",
                        "source_type": "local",
                    },
                    "tags": [{"key": "mlflow.data.context", "value": "training"}],
                }
            ],
            "model_inputs": [{"model_id": "m-1"}],
        },
        "outputs": {"model_outputs": [{"model_id": "m-2", "step": 9}]},
    }
}


def created(value: object) -> Created:
    return read(Created, json.dumps(value).encode())


def test_a_full_answer_is_read_whole_and_nothing_of_it_is_lost() -> None:
    assert created(FULL).model_dump(by_alias=True) == FULL


def test_a_minimal_answer_is_enough() -> None:
    run = created({"run": {"info": {"run_id": "x"}}}).run
    assert run is not None
    assert run.info is not None
    assert run.info.run_id == "x"
    assert run.data is None


def test_what_a_preview_adds_is_ignored() -> None:
    info = {"run_id": "x", "color": {"deep": [1]}}
    run = created({"run": {"info": info, "health": 1}, "trace": []}).run
    assert run is not None
    assert run.info is not None
    assert run.info.run_id == "x"


def nulled(value: object) -> object:
    return dict.fromkeys(value) if isinstance(value, dict) else None


def test_nulls_read_as_absent_at_every_depth() -> None:
    run = FULL["run"]
    assert isinstance(run, dict)
    assert created({"run": None}).run is None
    parts = created({"run": nulled(run)}).run
    assert parts is not None
    assert set(parts.model_dump().values()) == {None}
    fields = created({"run": {name: nulled(part) for name, part in run.items()}}).run
    assert fields is not None
    assert fields.info is not None
    assert set(fields.info.model_dump().values()) == {None}


@pytest.mark.parametrize("time", [1_700_000_000_000, "1700000000000", 1_700_000_000_000.0])
def test_int64_come_as_numbers_or_strings(time: object) -> None:
    run = created({"run": {"info": {"start_time": time}, "data": {"metrics": [{"step": "3", "value": "0.5"}]}}}).run
    assert run is not None
    assert run.info is not None
    assert run.info.start_time == 1_700_000_000_000
    assert run.data is not None
    assert run.data.metrics is not None
    assert (run.data.metrics[0].step, run.data.metrics[0].value) == (3, 0.5)


def test_ids_may_come_as_numbers() -> None:
    run = created({"run": {"info": {"run_id": 17, "experiment_id": 7}}}).run
    assert run is not None
    assert run.info is not None
    assert (run.info.run_id, run.info.experiment_id) == ("17", "7")


def test_a_status_that_nobody_knows_yet_is_kept() -> None:
    run = created({"run": {"info": {"status": "HIBERNATING"}}}).run
    assert run is not None
    assert run.info is not None
    assert run.info.status == "HIBERNATING"


def test_a_field_of_another_type_costs_only_itself() -> None:
    tags = [{"key": "a", "value": ["list"]}, "no tag", {"key": "b", "value": "c"}, 7]
    run = created({"run": {"info": {"run_id": "x", "start_time": "soon"}, "data": {"tags": tags}, "inputs": []}}).run
    assert run is not None
    assert run.info is not None
    assert (run.info.run_id, run.info.start_time, run.inputs) == ("x", None, None)
    assert run.data is not None
    assert run.data.tags is not None
    assert [(tag.key, tag.value) for tag in run.data.tags] == [("a", None), ("b", "c")]


def test_lone_surrogates_do_not_get_in() -> None:
    run = read(Created, rb'{"run":{"info":{"run_id":"x","run_name":"a\ud800b"}}}').run
    assert run is not None
    assert run.info is not None
    assert (run.info.run_id, run.info.run_name) == ("x", "a?b")


@pytest.mark.parametrize("model", [Created, Error])
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"run":', b"[]", b'"text"', b"null", b"7", b"\xff\xfe", b"[" * 100_000, b"9" * 5_000]
)
def test_what_is_no_json_object_is_a_value_error(model: type[BaseModel], body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- whatever its text
        read(model, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "value", "tags", "dataset"]), inner)
    ),
)


@given(JSON, JSON, JSON, st.dictionaries(st.sampled_from(["run_name", "start_time", "status", "end_time"]), JSON))
def test_whatever_stands_beside_it_the_run_id_is_found(
    a: object, b: object, c: object, info: dict[str, object]
) -> None:
    data = {"metrics": [a, b], "tags": [c, {"key": a}], "params": b}
    inputs = {"dataset_inputs": [{"dataset": a, "tags": [b]}, c], "model_inputs": a}
    run = created({"run": {"info": info | {"run_id": "x"}, "data": data, "inputs": inputs, "outputs": c}}).run
    assert run is not None
    assert run.info is not None
    assert run.info.run_id == "x"


def test_both_error_shapes_are_read() -> None:
    assert read(Error, b'{"code":"NotAuthenticated","message":"m"}').code == "NotAuthenticated"
    assert (
        read(Error, b'{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"m"}').error_code == "RESOURCE_DOES_NOT_EXIST"
    )
