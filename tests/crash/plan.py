"""Jobs with a plan of several requests: an input that adds steps to every job of another one."""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from ingestor.model.ports import Input
from ingestor.model.record import Job, Reject
from ingestor.model.request import Operation, Step
from ingestor.model.sources import Checkpoint, Chunk
from tests.e2e.program import Document

POINTS_PER_RUN = 3
END_TIME = 1_700_000_000_000
ADDED_TAGS = {"is_whole": "yes"}
"""The tags that a step adds to a run."""


def steps_of(key: str) -> tuple[Step, ...]:
    """Return the steps of the job with this key: the same in every process."""
    metrics = [{"key": "loss", "value": len(key) / (step + 1), "timestamp": step, "step": step} for step in range(3)]
    dataset = {"name": key, "digest": "0", "source_type": "local", "source": "{}"}
    return (
        _step(Operation.LOG_BATCH, metrics=metrics, params=[{"key": "job", "value": key}]),
        _step(Operation.LOG_INPUTS, dataset_inputs=[{"dataset": dataset}]),
        _step(Operation.LOG_BATCH, tags=[{"key": "is_whole", "value": "yes"}]),
        _step(Operation.UPDATE_RUN, status="FINISHED", end_time=END_TIME),
    )


def assert_complete(run: Document, key: str) -> None:
    """Assert that a run of the simulator has all that the steps of its job add, each once."""
    points = [(point["step"], point["value"]) for point in run["metrics"]]
    assert points == [(step, len(key) / (step + 1)) for step in range(POINTS_PER_RUN)]
    assert run["params"] == [{"key": "job", "value": key}]
    assert [dataset["dataset"]["name"] for dataset in run["dataset_inputs"]] == [key]
    assert {"key": "is_whole", "value": "yes"} in run["tags"]
    assert (run["status"], run["end_time"]) == ("FINISHED", END_TIME)


@dataclass(frozen=True)
class PlannedInput:
    """The port Input: `inner`, with steps in every job."""

    inner: Input

    @property
    def read_bytes(self) -> int:
        return self.inner.read_bytes

    @property
    def total_bytes(self) -> int | None:
        return self.inner.total_bytes

    async def chunks(self) -> AsyncIterator[Chunk]:
        async for chunk in self.inner.chunks():
            yield Chunk(chunk.source, [_planned(record) for record in chunk.records], chunk.position, chunk.end)

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        await self.inner.acknowledge(checkpoints)

    def finish(self) -> None:
        self.inner.finish()

    def stop(self) -> None:
        self.inner.stop()


def _planned(record: Job | Reject) -> Job | Reject:
    return replace(record, steps=steps_of(record.key)) if isinstance(record, Job) else record


def _step(operation: Operation, **members: object) -> Step:
    return Step(operation, json.dumps(members)[1:-1].encode())
