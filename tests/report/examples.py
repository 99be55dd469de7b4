"""Events for tests, all of one job, and a clock that a test moves."""

from dataclasses import dataclass, replace
from typing import Any

from ingestor.model.events import (
    AttemptEnded,
    BatchFinished,
    InputRead,
    RecordRejected,
    RunRetried,
    RunsEnded,
)
from ingestor.model.record import Job, Origin, Outcome, Reject, Result
from ingestor.model.reply import Reply
from ingestor.model.sources import SourceEnd

JOB = Job(
    origin=Origin("runs.jsonl", 7),
    key="train-7",
    body=b'{"tags":[]}',
    digest=bytes(32),
    token="c0ffee",
    experiment_id="42",
    raw=b'{"job_id":"train-7","experiment_id":"42"}',
)
RETRY_LATER = Reply(
    status=503,
    code="ServiceUnavailable",
    message="Try later.",
    opc_request_id="OURS/THEIRS",
    opc_client_request_id="OURS",
    latency_ms=250.0004,
)


@dataclass
class Watch:
    """A clock that a test moves: seconds, as a wall clock (`now`) or a monotonic one (called)."""

    time: float = 1_000.0

    def now(self) -> float:
        return self.time

    def __call__(self) -> float:
        return self.time


ANSWER: dict[str, Any] = {"opc_request_id": "OURS/THEIRS", "opc_client_request_id": "OURS"}


def ended(*results: Result) -> RunsEnded:
    return RunsEnded(results, sequence=len(results))


def created(latency_ms: float = 12.3456) -> RunsEnded:
    return ended(
        Result(
            job=JOB,
            outcome=Outcome.CREATED,
            attempts=2,
            run_id="run-1",
            http_status=200,
            latency_ms=latency_ms,
            **ANSWER,
        )
    )


def partial() -> RunsEnded:
    return ended(
        Result(
            job=JOB,
            outcome=Outcome.PARTIAL,
            attempts=3,
            run_id="run-1",
            http_status=400,
            error_code="InvalidParameter",
            error_message="The metric is too long.",
            latency_ms=5.0,
            **ANSWER,
        )
    )


def failed(message: str = "No such experiment.", code: str = "NotAuthorizedOrNotFound") -> RunsEnded:
    return ended(
        Result(
            job=JOB,
            outcome=Outcome.FAILED,
            attempts=1,
            http_status=404,
            error_code=code,
            error_message=message,
            latency_ms=5.0,
            misses_experiment=True,
            **ANSWER,
        )
    )


def unresolved() -> RunsEnded:
    return ended(Result(job=JOB, outcome=Outcome.UNRESOLVED, attempts=0, error_message="The token expired."))


def retried(reply: Reply = RETRY_LATER) -> RunRetried:
    return RunRetried(job=JOB, reply=reply, attempts=1, delay=0.75, reason="the service is not available")


def rejected(
    text: str = '{"start_time": 1.5}', line: int = 3, reason: str = "start_time: is not whole"
) -> RecordRejected:
    return RecordRejected(Reject(Origin("runs.jsonl", line), reason, text))


def read(records: int, read_bytes: int = 100, total_bytes: int | None = 100) -> InputRead:
    """Records of a file; without a byte, records that the journal kept."""
    source = "runs.jsonl" if read_bytes else None
    return InputRead(records, read_bytes, total_bytes, source, SourceEnd.COMPLETE if source else None)


def read_of(source: str | None, records: int, end: SourceEnd | None = SourceEnd.COMPLETE, again: int = 0) -> InputRead:
    return InputRead(records, 100, 100, source, end, again, 10)


def missing(
    experiment: str | None,
    message: str,
    *,
    status: int = 404,
    code: str | None = "NotFound",
    outcome: Outcome = Outcome.FAILED,
    known: bool = True,
) -> RunsEnded:
    """A job of this experiment fails; `known`: because the experiment does not exist."""
    job = replace(JOB, experiment_id=experiment)
    return ended(
        Result(
            job=job,
            outcome=outcome,
            attempts=1,
            http_status=status,
            error_code=code,
            error_message=message,
            misses_experiment=known,
        )
    )


def attempt(latency_ms: float = 10.0, *, throttled: bool = False, repeated: bool = False) -> AttemptEnded:
    reply = Reply(status=429 if throttled else 200, latency_ms=latency_ms)
    return AttemptEnded(reply=reply, throttled=throttled, repeated=repeated)


def finished(
    exit_code: int = 0, *, left: int = 0, duration: float = 2.0, already_done: int = 0, **counts: int
) -> BatchFinished:
    return BatchFinished(
        batch="nightly",
        counts=counts,
        already_done=already_done,
        left=left,
        exit_code=exit_code,
        duration=duration,
    )
