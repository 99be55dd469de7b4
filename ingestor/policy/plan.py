"""The requests of a job: create, then its steps in order.

Only create can make a second run, so only create needs an intent in the journal, the life of its token and look-ups.
A step sets a state of the run, so it may be sent again at any age.
"""

from ingestor.model.record import Job
from ingestor.model.request import Operation, Request
from ingestor.policy.identity import encoded, stamped_body, step_token


def create_request(job: Job, *, stamped: bool) -> Request:
    """Return the request that creates a job's run: always the same bytes for the same job and `stamped`."""
    body = stamped_body(job.body, job.token) if stamped else job.body
    return Request(Operation.CREATE_RUN, body, job.token)


def step_request(job: Job, index: int, run_id: str) -> Request:
    """Return the request of `job.steps[index]` for the job's run: the same bytes and token in every process."""
    step = job.steps[index]
    body = b'{"run_id":' + encoded(run_id) + (b"," + step.members if step.members else b"") + b"}"
    token = step_token(job.token, index, body)
    return Request(step.operation, body, token, is_repeatable=True)
