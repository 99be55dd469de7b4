"""What is known of a job decides whether it may be sent. Pure."""

from dataclasses import replace

from ingestor.journal.schema import State
from ingestor.journal.statements import Row
from ingestor.model.journal_time import JournalTime
from ingestor.model.ports import Admission, AdmissionStatus
from ingestor.model.record import Job
from ingestor.policy.expiry import forgotten, protects

_OPEN = frozenset({State.PENDING, State.UNRESOLVED})


def judge(job: Job, row: Row | None, *, stamped: bool, now: JournalTime) -> Admission:
    """Say what becomes of a job whose key has this row. The row's token, not the job's, is the one to send."""
    if row is None:
        return Admission(job, AdmissionStatus.NEW, stamped, now.time)
    if row.token is not None:
        job = replace(job, token=row.token)
    if row.same_body and row.state is State.CREATED:  # as all are in a second pass
        return Admission(job, AdmissionStatus.DONE, row.stamped, row.first_sent_at, run_id=row.run_id)
    status = _standing(row, now)
    return Admission(
        job,
        status,
        row.stamped,
        _life_begins(row, now) if status is AdmissionStatus.AGAIN else row.first_sent_at,
        may_exist=row.state in _OPEN and status is not AdmissionStatus.CONFLICT,
    )


def move(admission: Admission, row: Row) -> tuple[int, State, float] | None:
    """Say where the row of a job moves that was admitted so: (row id, state, first sent at), None where it stays."""
    if admission.status is AdmissionStatus.EXPIRED:
        return (row.id, State.UNRESOLVED, row.first_sent_at)
    if admission.status is AdmissionStatus.AGAIN and row.state is State.FAILED:
        return (row.id, State.PENDING, admission.first_sent_at)
    return None


def _standing(row: Row, now: JournalTime) -> AdmissionStatus:
    if not row.same_body:
        return AdmissionStatus.CONFLICT
    if row.state is State.FAILED or protects(row.first_sent_at, now):
        return AdmissionStatus.AGAIN
    return AdmissionStatus.EXPIRED


def _life_begins(row: Row, now: JournalTime) -> float:
    """Return when the token's life began: after a failure the service may still count it from the first attempt."""
    return now.time if row.state is State.FAILED and forgotten(row.first_sent_at, now) else row.first_sent_at
