"""The bodies of the service's answers, as the API page describes them.

The API is in preview. What it adds is ignored; what it leaves out, sends as null or sends in another type reads as
None. So an answer that names its run is always understood, with any other content. An int64 comes as a number or a
string.
"""

import json
from typing import TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

M = TypeVar("M", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, coerce_numbers_to_str=True)


class ExperimentRunMetric(_Part):
    """A run's metric; `timestamp` in milliseconds since the epoch."""

    key: str | None = None
    step: int | None = None
    timestamp: int | None = None
    value: float | None = None


class KeyValue(_Part):
    """A param of a run, a tag of a run, or a tag of an input."""

    key: str | None = None
    value: str | None = None


class ExperimentRunData(_Part):
    """The metrics, params and tags of a run."""

    metrics: list[ExperimentRunMetric] | None = None
    params: list[KeyValue] | None = None
    tags: list[KeyValue] | None = None


class ExperimentRunInfo(_Part):
    """A run's metadata; times in milliseconds since the epoch. `status` may be one that the page does not list."""

    artifact_uri: str | None = None
    end_time: int | None = None
    experiment_id: str | None = None
    lifecycle_stage: str | None = None
    run_id: str | None = None
    run_name: str | None = None
    run_uuid: str | None = None
    start_time: int | None = None
    status: str | None = None
    user_id: str | None = None


class Dataset(_Part):
    """A reference to data."""

    digest: str | None = None
    name: str | None = None
    profile: str | None = None
    schema_: str | None = Field(default=None, alias="schema")
    source: str | None = None
    source_type: str | None = None


class DatasetInput(_Part):
    """A dataset that is an input of a run."""

    dataset: Dataset | None = None
    tags: list[KeyValue] | None = None


class ModelInput(_Part):
    """A model that is an input of a run."""

    model_id: str | None = None


class ExperimentRunInputs(_Part):
    """The inputs of a run."""

    dataset_inputs: list[DatasetInput] | None = None
    model_inputs: list[ModelInput] | None = None


class ModelOutput(_Part):
    """A model that is an output of a run."""

    model_id: str | None = None
    step: int | None = None


class ExperimentRunOutputs(_Part):
    """The outputs of a run."""

    model_outputs: list[ModelOutput] | None = None


class ExperimentRun(_Part):
    """A run."""

    data: ExperimentRunData | None = None
    info: ExperimentRunInfo | None = None
    inputs: ExperimentRunInputs | None = None
    outputs: ExperimentRunOutputs | None = None


class CreateExperimentRunResponseDetails(_Part):
    """The answer to a create that succeeded."""

    run: ExperimentRun | None = None


class StampedRun(BaseModel):
    """The parts of a run that a search needs."""

    info: ExperimentRunInfo
    data: ExperimentRunData | None = None

    def carries(self, key: str, value: str) -> bool:
        """Whether the run has this tag."""
        tags = (self.data.tags if self.data is not None else None) or []
        return any((tag.key, tag.value) == (key, value) for tag in tags)


class RunPage(BaseModel):
    """A page of runs/search. MLflow answers `{}` if there is no match."""

    runs: list[StampedRun] = []
    next_page_token: str | None = None


class Experiment(BaseModel):
    """The parts of an experiment that a search needs. MLflow says "deleted" of one in the trash: it takes no runs."""

    experiment_id: str
    lifecycle_stage: str | None = None


class ExperimentPage(BaseModel):
    """A page of experiments/search."""

    experiments: list[Experiment] = []
    next_page_token: str | None = None


class ExperimentAnswer(BaseModel):
    """The answer of experiments/get."""

    experiment: Experiment


class Error(_Part):
    """A refusal, in the shape of the API page (`code`) or of MLflow's own server (`error_code`)."""

    code: str | None = None
    error_code: str | None = None
    message: str | None = None


class _Names(msgspec.Struct, gc=False):
    run_id: str | None = None
    run_uuid: str | None = None
    experiment_id: str | None = None


class _NamedRun(msgspec.Struct, gc=False):
    info: _Names


class _Created(msgspec.Struct, gc=False):
    run: _NamedRun


_decode_created = msgspec.json.Decoder(_Created).decode


def created_run(body: bytes) -> tuple[str | None, str | None]:
    """Return the ids of the run and of its experiment from the answer to a create, None if it has none.

    Decodes only these members if they have the expected types: this costs a tenth of reading the complete answer.
    Raises ValueError as `read`.
    """
    try:
        names: _Names | ExperimentRunInfo = _decode_created(body).run.info
    except (ValueError, RecursionError):
        run = read(CreateExperimentRunResponseDetails, body).run
        names = (run.info if run is not None else None) or ExperimentRunInfo()
    return names.run_id or names.run_uuid or None, names.experiment_id


def is_json(body: bytes) -> bool:
    """Whether a body is JSON of any kind."""
    try:
        _loose_json(body)
    except ValueError:
        return False
    return True


def read(model: type[M], body: bytes) -> M:
    """Read an answer. Raises ValueError for what is not a JSON object; a field of a wrong type reads as None."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return _read_tolerantly(model, body)


def read_page(model: type[M], body: bytes) -> M:
    """Read a page of a search strictly: an unread run would count as absent.

    Raises ValueError for anything but a page; an empty object is one.
    """
    page = model.model_validate_json(body)
    if not page.model_fields_set and _loose_json(body):
        raise ValueError("not a page")
    return page


def _read_tolerantly(model: type[M], body: bytes) -> M:
    value = _loose_json(body)
    try:
        return model.model_validate(value)
    except ValidationError as misfit:
        for error in reversed(misfit.errors(include_url=False, include_input=False)):
            _remove(value, error["loc"])
    return model.model_validate(value)


def _loose_json(body: bytes) -> object:
    """Parse JSON with lone surrogates, which no UTF-8 can hold, replaced. Raises ValueError."""
    try:
        text = json.dumps(json.loads(body), ensure_ascii=False).encode(errors="replace")
        value: object = json.loads(text)
    except RecursionError:
        raise ValueError("nested deeper than any answer") from None
    return value


def _remove(value: object, path: tuple[int | str, ...]) -> None:
    """Remove what a path of member names and indices leads to."""
    if not path:
        return
    *parents, last = path
    for step in parents:
        value = value[step]  # type: ignore[index]  # pydantic found the path in this very value
    del value[last]  # type: ignore[attr-defined]  # as above
