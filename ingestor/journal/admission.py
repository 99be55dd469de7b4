"""What is known of a job decides whether it may be sent. Pure."""

from dataclasses import replace

from ingestor.journal.schema import State
from ingestor.journal.statements import Row
from ingestor.model.job import Job
from ingestor.model.moment import Moment
from ingestor.model.ports import Admission, Standing
from ingestor.policy.expiry import forgotten, protects

_OPEN = frozenset({State.PENDING, State.UNRESOLVED})


def judge(job: Job, row: Row | None, *, stamped: bool, now: Moment) -> Admission:
    """Say what becomes of a job whose key has this row. The row's token, not the job's, is the one to send."""
    if row is None:
        return Admission(job, Standing.NEW, stamped, now.time)
    if row.token is not None:
        job = replace(job, token=row.token)
    if row.same_body and row.state is State.CREATED:  # as all are in a second pass
        return Admission(job, Standing.DONE, row.stamped, row.first_sent_at, run_id=row.run_id)
    standing = _standing(row, now)
    return Admission(
        job,
        standing,
        row.stamped,
        _life_begins(row, now) if standing is Standing.AGAIN else row.first_sent_at,
        in_doubt=row.state in _OPEN and standing is not Standing.CONFLICT,
    )


def move(admission: Admission, row: Row) -> tuple[int, State, float] | None:
    """Say where the row of a job moves that was admitted so: (row id, state, first sent at), None where it stays."""
    if admission.standing is Standing.EXPIRED:
        return (row.id, State.UNRESOLVED, row.first_sent_at)
    if admission.standing is Standing.AGAIN and row.state is State.FAILED:
        return (row.id, State.PENDING, admission.first_sent_at)
    return None


def _standing(row: Row, now: Moment) -> Standing:
    if not row.same_body:
        return Standing.CONFLICT
    if row.state is State.FAILED or protects(row.first_sent_at, now):
        return Standing.AGAIN
    return Standing.EXPIRED


def _life_begins(row: Row, now: Moment) -> float:
    """Return when the token's life began: after a failure the service may still count it from the first attempt."""
    return now.time if row.state is State.FAILED and forgotten(row.first_sent_at, now) else row.first_sent_at
