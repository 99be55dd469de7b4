"""The service's answers, as the API page describes them.

The API is in preview: what it adds is ignored, and what it leaves out, sends as null or sends in another type reads as
None. So an answer that names its run is always understood, whatever stands beside it. int64 come as numbers
or strings.
"""

import json
from typing import TypeVar

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


class ExperimentRunParam(_Part):
    """A run's parameter."""

    key: str | None = None
    value: str | None = None


class ExperimentRunTag(_Part):
    """A run's tag."""

    key: str | None = None
    value: str | None = None


class ExperimentRunData(_Part):
    """What was logged to a run."""

    metrics: list[ExperimentRunMetric] | None = None
    params: list[ExperimentRunParam] | None = None
    tags: list[ExperimentRunTag] | None = None


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


class InputTag(_Part):
    """A dataset input's tag."""

    key: str | None = None
    value: str | None = None


class Dataset(_Part):
    """A reference to data that a run used."""

    digest: str | None = None
    name: str | None = None
    profile: str | None = None
    schema_: str | None = Field(default=None, alias="schema")
    source: str | None = None
    source_type: str | None = None


class DatasetInput(_Part):
    """A dataset that went into a run."""

    dataset: Dataset | None = None
    tags: list[InputTag] | None = None


class ModelInput(_Part):
    """A model that went into a run."""

    model_id: str | None = None


class ExperimentRunInputs(_Part):
    """What went into a run."""

    dataset_inputs: list[DatasetInput] | None = None
    model_inputs: list[ModelInput] | None = None


class ModelOutput(_Part):
    """A model that came out of a run."""

    model_id: str | None = None
    step: int | None = None


class ExperimentRunOutputs(_Part):
    """What came out of a run."""

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
    """What is needed of a run that a search found."""

    info: ExperimentRunInfo
    data: ExperimentRunData | None = None

    def carries(self, key: str, value: str) -> bool:
        """Whether the run shows this tag."""
        tags = (self.data.tags if self.data is not None else None) or []
        return any((tag.key, tag.value) == (key, value) for tag in tags)


class RunPage(BaseModel):
    """A page of runs/search. MLflow says `{}` where there is no match."""

    runs: list[StampedRun] = []
    next_page_token: str | None = None


class Experiment(BaseModel):
    """What is needed of an experiment."""

    experiment_id: str


class ExperimentPage(BaseModel):
    """A page of experiments/search."""

    experiments: list[Experiment] = []
    next_page_token: str | None = None


class Error(_Part):
    """A refusal, in the shape of the API page (`code`) or of MLflow's own server (`error_code`)."""

    code: str | None = None
    error_code: str | None = None
    message: str | None = None


def read(model: type[M], body: bytes) -> M:
    """Read an answer. Raises ValueError for what is not a JSON object; any other oddity costs only its own field."""
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return _read_what_fits(model, body)


def read_page(model: type[M], body: bytes) -> M:
    """Read a page of a search to the letter: what is overlooked in it would pass for absent.

    Raises ValueError for what is not an empty object and shows no member of a page.
    """
    page = model.model_validate_json(body)
    if not page.model_fields_set and _loose_json(body):
        raise ValueError("not a page")
    return page


def _read_what_fits(model: type[M], body: bytes) -> M:
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
    """Take out what stands at a path of member names and indices."""
    if not path:
        return
    *parents, last = path
    for step in parents:
        value = value[step]  # type: ignore[index]  # pydantic found the path in this very value
    del value[last]  # type: ignore[attr-defined]  # as above
