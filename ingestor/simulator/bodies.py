"""Bodies of the requests that make a run, checked as strictly as the API pages describe them."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

from ingestor.model.record import RunDetails
from ingestor.simulator.wire import invalid_parameter, unreadable

MAX_METRICS = 1000
"""Metric points in one runs/log-batch; also params, tags and metric points together (MLflow's own limits)."""
MAX_PARAMS = 100
"""Params in one runs/log-batch."""
MAX_TAGS = 100
"""Tags in one runs/log-batch."""

STATUSES = frozenset({"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED", "INTERNAL_ERROR"})
"""The statuses that runs/update accepts."""

_CREATE_FIELDS = frozenset({"experiment_id", "run_name", "start_time", "tags"})
_LOG_BATCH_FIELDS = frozenset({"run_id", "metrics", "params", "tags"})
_LOG_INPUTS_FIELDS = frozenset({"run_id", "dataset_inputs"})
_UPDATE_FIELDS = frozenset({"run_id", "status", "end_time", "run_name"})
_DELETE_FIELDS = frozenset({"run_id", "is_permanent"})
_PAIR_FIELDS = frozenset({"key", "value"})
_METRIC_FIELDS = frozenset({"key", "value", "timestamp", "step"})
_INPUT_FIELDS = frozenset({"dataset", "tags"})
_DATASET_FIELDS = frozenset({"name", "digest", "source_type", "source", "schema", "profile"})
_DATASET_REQUIRED = ("name", "digest", "source_type", "source")
_NOT_FINITE = frozenset({"NaN", "Infinity", "-Infinity"})
_INT64 = range(-(2**63), 2**63)

Pairs = tuple[tuple[str, str], ...]
Document = Mapping[str, object]


class Metric(NamedTuple):
    """One metric point. `value` is a finite number, or "NaN", "Infinity" or "-Infinity"."""

    key: str
    value: float | str
    timestamp: int
    step: int


@dataclass(frozen=True, slots=True)
class LogBatch:
    """The body of runs/log-batch."""

    run_id: str
    metrics: tuple[Metric, ...]
    params: Pairs
    tags: Pairs


class DatasetInput(NamedTuple):
    """A dataset that a run used. `document` is all of it in the API's shape, with its tags."""

    name: str
    digest: str
    document: Document


@dataclass(frozen=True, slots=True)
class LogInputs:
    """The body of runs/log-inputs."""

    run_id: str
    dataset_inputs: tuple[DatasetInput, ...]


@dataclass(frozen=True, slots=True)
class RunUpdate:
    """The body of runs/update. None: the field was left out, and stays as it is."""

    run_id: str
    status: str | None
    end_time: int | None
    run_name: str | None


def parse_create(body: bytes) -> RunDetails:
    """Read the body of runs/create (schema CreateExperimentRunDetails). Raises ApiError (400)."""
    document = parse_object(body, _CREATE_FIELDS)
    tags = _pairs(document, "tags")
    _check_distinct(tags, "tags")
    return RunDetails(
        experiment_id=text(document, "experiment_id"),
        run_name=text(document, "run_name"),
        start_time=int64(document, "start_time"),
        tags=tags,
    )


def parse_log_batch(body: bytes) -> LogBatch:
    """Read the body of runs/log-batch. Raises ApiError (400), also for more than the API takes at once."""
    document = parse_object(body, _LOG_BATCH_FIELDS)
    metrics = tuple(_metric(one) for one in _objects(document, "metrics", _METRIC_FIELDS))
    params, tags = _pairs(document, "params"), _pairs(document, "tags")
    _check_distinct(params, "params")
    total = len(metrics) + len(params) + len(tags)
    if len(metrics) > MAX_METRICS or len(params) > MAX_PARAMS or len(tags) > MAX_TAGS or total > MAX_METRICS:
        raise invalid_parameter(
            f"A request may have {MAX_METRICS:,} metrics, {MAX_PARAMS} params and {MAX_TAGS} tags, "
            f"and {MAX_METRICS:,} of them in total."
        )
    return LogBatch(_run_id(document), metrics, params, tags)


def parse_log_inputs(body: bytes) -> LogInputs:
    """Read the body of runs/log-inputs. Raises ApiError (400)."""
    document = parse_object(body, _LOG_INPUTS_FIELDS)
    inputs = tuple(_dataset_input(one) for one in _objects(document, "dataset_inputs", _INPUT_FIELDS))
    return LogInputs(_run_id(document), inputs)


def parse_update(body: bytes) -> RunUpdate:
    """Read the body of runs/update. Raises ApiError (400)."""
    document = parse_object(body, _UPDATE_FIELDS)
    status = text(document, "status")
    if status is not None and status not in STATUSES:
        raise invalid_parameter(f"status must be one of {', '.join(sorted(STATUSES))}.")
    return RunUpdate(_run_id(document), status, int64(document, "end_time"), text(document, "run_name"))


def parse_delete(body: bytes) -> str:
    """Read the body of runs/delete, and return the run's id. Raises ApiError (400), also for a permanent deletion."""
    document = parse_object(body, _DELETE_FIELDS)
    if document.get("is_permanent", False) is not False:
        raise invalid_parameter("is_permanent: this simulator keeps deleted runs; leave it out.")
    return _run_id(document)


def parse_object(body: bytes, fields: frozenset[str]) -> dict[str, object]:
    """Read a body that is a JSON object with no other fields. Raises ApiError (400)."""
    try:
        document: object = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise unreadable("The request body is not well-formed JSON.") from None
    if not isinstance(document, dict):
        raise unreadable("The request body is not a JSON object.")
    if not document.keys() <= fields:
        raise unreadable(f"Unrecognized field: {min(document.keys() - fields)}")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def text(document: Document, name: str) -> str | None:
    """Return a field that is a string; None if it is left out. Raises ApiError (400)."""
    value = document.get(name, "")
    if not isinstance(value, str):
        raise invalid_parameter(f"{name} must be a string.")
    return value if name in document else None


def _run_id(document: Document) -> str:
    return _required_text(document, "run_id")


def _required_text(document: Document, name: str) -> str:
    value = text(document, name)
    if not value:
        raise invalid_parameter(f"{name} is missing.")
    return value


def int64(document: Document, name: str) -> int | None:
    """Return a field that is a 64-bit integer; None if it is left out. Raises ApiError (400)."""
    value = document.get(name, 0)
    if type(value) is not int or value not in _INT64:
        raise invalid_parameter(f"{name} must be an int64.")
    return value if name in document else None


def _objects(document: Document, name: str, fields: frozenset[str]) -> list[dict[str, object]]:
    values = document.get(name, [])
    if not isinstance(values, list):
        raise invalid_parameter(f"{name} must be an array.")
    for value in values:
        if not isinstance(value, dict):
            raise invalid_parameter(f"Each of {name} must be an object.")
        if not value.keys() <= fields:
            raise unreadable(f"Unrecognized field in {name}: {min(value.keys() - fields)}")
    return values


def _pairs(document: Document, name: str) -> Pairs:
    return tuple(_pair(one, name) for one in _objects(document, name, _PAIR_FIELDS))


def _pair(document: Document, name: str) -> tuple[str, str]:
    key, value = document.get("key"), document.get("value")
    if not isinstance(key, str) or not isinstance(value, str):
        raise invalid_parameter(f"Each of {name} must have a key and a value, both strings.")
    return key, value


def _check_distinct(pairs: Pairs, name: str) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise invalid_parameter(f"{name} must have distinct keys.")


def _metric(document: Document) -> Metric:
    timestamp = int64(document, "timestamp")
    if timestamp is None or timestamp < 0:
        raise invalid_parameter("Each of metrics must have a timestamp of 0 or more.")
    return Metric(_required_text(document, "key"), _double(document), timestamp, int64(document, "step") or 0)


def _double(document: Document) -> float | str:
    value = document.get("value")
    if isinstance(value, str) and value in _NOT_FINITE:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max:
        return float(value)
    raise invalid_parameter('Each of metrics must have a value: a number, "NaN", "Infinity" or "-Infinity".')


def _dataset_input(document: Document) -> DatasetInput:
    dataset = document.get("dataset")
    if not isinstance(dataset, dict):
        raise invalid_parameter("Each of dataset_inputs must have a dataset, an object.")
    if not dataset.keys() <= _DATASET_FIELDS:
        raise unreadable(f"Unrecognized field in dataset: {min(dataset.keys() - _DATASET_FIELDS)}")
    name, digest, *_ = [_required_text(dataset, name) for name in _DATASET_REQUIRED]
    _pairs(document, "tags")
    return DatasetInput(name, digest, document)
