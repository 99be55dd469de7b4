"""How a record ends."""

from enum import StrEnum

from ingestor.model.record import Job
from ingestor.model.value import value


class Outcome(StrEnum):
    """The five ends of a record."""

    CREATED = "created"
    """The run exists and its id is known."""
    REJECTED = "rejected"
    """The record is invalid and was never sent."""
    FAILED = "failed"
    """The service refused it for good: nothing was created."""
    UNRESOLVED = "unresolved"
    """It was sent and what became of it is not known."""
    DUPLICATE = "duplicate"
    """The key was already done in this batch, with the same body."""


@value(frozen=True, slots=True, kw_only=True)
class Result:
    """The end of a job that was sent, as the journal keeps it and the log tells it.

    `outcome` is CREATED, FAILED or UNRESOLVED. The answer's fields are those of the last attempt.
    `attempts` counts this process's attempts only; 0 where the end came without one.
    """

    job: Job
    outcome: Outcome
    attempts: int
    run_id: str | None = None
    http_status: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    opc_request_id: str | None = None
    opc_client_request_id: str | None = None
    latency_ms: float | None = None
