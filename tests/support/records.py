"""Jobs for tests."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

from ingestor.model.record import Job, Line, Origin, RunDetails
from ingestor.model.request import Operation, Step
from ingestor.policy.identity import Scope, make_job

SCOPE = Scope("ocid1.aidataplatform.oc1.iad.test", "workspace-1", "default")

STEPS = (
    Step(Operation.LOG_BATCH, b'"metrics":[{"key":"loss","value":0.5,"timestamp":1,"step":0}]'),
    Step(Operation.LOG_INPUTS, b'"datasets":[]'),
    Step(Operation.UPDATE_RUN, b'"status":"FINISHED"'),
)
"""What may follow create: a plan of four requests."""


def job(
    number: int = 1,
    *,
    key: str | None = None,
    experiment_id: str = "1",
    name: str | None = None,
    steps: Sequence[Step] = (),
) -> Job:
    """Return the job of line `number`; without steps it is what its text is parsed to."""
    details = RunDetails(experiment_id, name or f"run {number}", 1_700_000_000_000 + number, (("n", str(number)),))
    record = {
        "job_id": key or f"job-{number}",
        "experiment_id": experiment_id,
        "run_name": details.run_name,
        "start_time": details.start_time,
        "tags": dict(details.tags),
    }
    raw = json.dumps(record).encode()
    made = make_job(Line(Origin("runs.jsonl", number), raw), key or f"job-{number}", details, SCOPE)
    return with_steps(made, steps) if steps else made


def with_steps(job: Job, steps: Sequence[Step]) -> Job:
    """Return a job with the same key and text, and a longer plan."""
    plan = b"".join(step.operation.encode() + step.members for step in steps)
    return replace(job, steps=tuple(steps), digest=hashlib.sha256(job.body + plan).digest())


def jobs(count: int, *, steps: Sequence[Step] = ()) -> list[Job]:
    """Return the jobs of lines 1 to `count`."""
    return [job(number, steps=steps) for number in range(1, count + 1)]
