"""Jobs for tests."""

import json

from ingestor.model.record import Job, Line, Origin, RunDetails
from ingestor.policy.identity import Scope, make_job

SCOPE = Scope("ocid1.aidataplatform.oc1.iad.test", "workspace-1", "default")


def job(number: int = 1, *, key: str | None = None, experiment_id: str = "1", name: str | None = None) -> Job:
    """Make the job of line `number`."""
    details = RunDetails(experiment_id, name or f"run {number}", 1_700_000_000_000 + number, (("n", str(number)),))
    raw = json.dumps({"job_id": key or f"job-{number}", "run_name": details.run_name}).encode()
    return make_job(Line(Origin("runs.jsonl", number), raw), key or f"job-{number}", details, SCOPE)


def jobs(count: int) -> list[Job]:
    """Make the jobs of lines 1 to `count`."""
    return [job(number) for number in range(1, count + 1)]
