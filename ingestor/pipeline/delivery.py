"""One job on its way: what its attempts have shown, and who waits for its end."""

from dataclasses import dataclass, field, replace

from ingestor.model.outcome import Outcome, Result
from ingestor.model.ports import Admission
from ingestor.model.record import Job
from ingestor.model.reply import Reply
from ingestor.policy.retry import INVALIDATED_TOKEN, History


@dataclass(slots=True, eq=False)
class Delivery:
    """A job in hand.

    Attributes:
        admission: the journal's word on the job.
        history: what its attempts have shown.
        followers: jobs with the same key and body met meanwhile; they end as duplicates when this one ends.
    """

    admission: Admission
    history: History
    followers: list[Job] = field(default_factory=list)

    @property
    def job(self) -> Job:
        """The job itself."""
        return self.admission.job

    @property
    def withdrawable(self) -> bool:
        """Whether its intent may be taken back: no attempt, of any process, may have created the run."""
        return not self.admission.may_exist and not self.history.may_exist


def start(admission: Admission) -> Delivery:
    """Take a job in hand."""
    return Delivery(admission, History(may_exist=admission.may_exist))


def end(delivery: Delivery, outcome: Outcome, reply: Reply) -> Result:
    """Say how a delivery ended: its outcome, and the last reply."""
    created = outcome is Outcome.CREATED
    invalidated = outcome is Outcome.UNRESOLVED and delivery.admission.invalidated
    return Result(
        job=delivery.job if delivery.job.experiment_id else replace(delivery.job, experiment_id=reply.experiment_id),
        outcome=outcome,
        attempts=delivery.history.attempts,
        run_id=reply.run_id if created else None,
        http_status=reply.status,
        error_code=INVALIDATED_TOKEN if invalidated else None if created else reply.code or reply.fault,
        error_message=reply.message or None if created else reply.message,
        opc_request_id=reply.opc_request_id,
        opc_client_request_id=reply.opc_client_request_id or None,
        latency_ms=reply.latency_ms if delivery.history.attempts else None,
    )
