import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from ingestor.api.responses import CreateExperimentRunResponseDetails as Created
from ingestor.api.responses import Error, created_run, is_json, read

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
    """Read an answer; the short way to its ids finds the same ones."""
    body = json.dumps(value).encode()
    answer = read(Created, body)
    info = answer.run.info if answer.run is not None else None
    assert created_run(body) == ((info.run_id or info.run_uuid or None, info.experiment_id) if info else (None, None))
    return answer


def test_every_field_of_a_full_answer_is_read() -> None:
    assert created(FULL).model_dump(by_alias=True) == FULL


def test_a_minimal_answer_is_enough() -> None:
    run = created({"run": {"info": {"run_id": "x"}}}).run
    assert run is not None
    assert run.info is not None
    assert run.info.run_id == "x"
    assert run.data is None


def test_fields_that_a_preview_adds_are_ignored() -> None:
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


def test_an_unknown_status_is_kept() -> None:
    run = created({"run": {"info": {"status": "HIBERNATING"}}}).run
    assert run is not None
    assert run.info is not None
    assert run.info.status == "HIBERNATING"


def test_a_field_of_another_type_reads_as_none_and_the_others_are_kept() -> None:
    tags = [{"key": "a", "value": ["list"]}, "no tag", {"key": "b", "value": "c"}, 7]
    run = created({"run": {"info": {"run_id": "x", "start_time": "soon"}, "data": {"tags": tags}, "inputs": []}}).run
    assert run is not None
    assert run.info is not None
    assert (run.info.run_id, run.info.start_time, run.inputs) == ("x", None, None)
    assert run.data is not None
    assert run.data.tags is not None
    assert [(tag.key, tag.value) for tag in run.data.tags] == [("a", None), ("b", "c")]


def test_lone_surrogates_are_replaced() -> None:
    run = read(Created, rb'{"run":{"info":{"run_id":"x","run_name":"a\ud800b"}}}').run
    assert run is not None
    assert run.info is not None
    assert (run.info.run_id, run.info.run_name) == ("x", "a?b")


@pytest.mark.parametrize("model", [Created, Error])
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"run":', b"[]", b'"text"', b"null", b"7", b"\xff\xfe", b"[" * 100_000, b"9" * 5_000]
)
def test_a_body_that_is_not_a_json_object_is_a_value_error(model: type[BaseModel], body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- whatever its text
        read(model, body)
    with pytest.raises(ValueError):  # noqa: PT011 -- whatever its text
        created_run(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["key", "value", "tags", "dataset"]), inner)
    ),
)


@given(JSON, JSON, JSON, st.dictionaries(st.sampled_from(["run_name", "start_time", "status", "end_time"]), JSON))
def test_the_run_id_is_found_with_any_other_content_of_the_answer(
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


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (b'{"run":{"info":{"run_id":"x","experiment_id":"7"}}}', ("x", "7")),
        (b'{"run":{"info":{"run_uuid":"y"}}}', ("y", None)),
        (b'{"run":{"info":{"run_id":17,"experiment_id":7}}}', ("17", "7")),
        (b'{"run":{"info":{"run_id":"x","experiment_id":{}}}}', ("x", None)),
        (rb'{"run":{"info":{"run_id":"x"},"data":{"tags":[{"key":"\ud800"}]}}}', ("x", None)),
        (b'{"run":{"info":{"run_id":"x"},"more":' + b"[" * 900 + b"]" * 900 + b"}}", ("x", None)),
        (b'{"run":{"info":{"run_id":""}}}', (None, None)),
        (b'{"run":{"info":null}}', (None, None)),
        (b'{"run":null}', (None, None)),
        (b"{}", (None, None)),
    ],
)
def test_the_ids_of_a_created_run_are_read(body: bytes, ids: tuple[str | None, str | None]) -> None:
    assert created_run(body) == ids


@pytest.mark.parametrize(("body", "expected"), [(b"{}", True), (b"[1]", True), (b"", False), (b"<html>", False)])
def test_json_is_recognized(body: bytes, expected: bool) -> None:
    assert is_json(body) is expected
