"""The decision whether a job may be sent, from its row in the journal. Pure."""

from dataclasses import replace

from msgspec import Struct

from ingestor.model.admission import Admission, AdmissionStatus, JournalTime
from ingestor.model.record import Job, State
from ingestor.policy.expiry import forgotten, protects

_COMPLETE = frozenset({State.CREATED, State.PARTIAL})
_MAY_EXIST = frozenset({State.PENDING, State.UNRESOLVED})


class Row(Struct, array_like=True, gc=False):
    """The row of a job that is admitted again.

    Attributes:
        place: the job's index in the list of jobs that were looked for.
        id: the number of the row.
        same_body: whether the digests are equal.
        state: the state before this admission.
        token: the row's token if it is not the job's, else None.
        first_sent_at: when the token's life began.
        stamped: whether create carries the stamp.
        run_id: the run's id, if it is known.
        in_this_execution: whether this execution wrote the state.
    """

    place: int
    id: int
    same_body: bool
    state: State
    token: str | None
    first_sent_at: float
    stamped: bool
    run_id: str | None
    in_this_execution: bool


def decide_admission(job: Job, row: Row | None, *, stamped: bool, now: JournalTime) -> Admission:
    """Decide whether a job whose key has this row may be sent. The token to send is the row's, not the job's."""
    if row is None:
        return Admission(job, AdmissionStatus.NEW, stamped, now.time)
    if row.token is not None:
        job = replace(job, token=row.token)
    status = _status(row, now)
    is_done = status is AdmissionStatus.DONE
    is_resent = status is AdmissionStatus.RESEND
    return Admission(
        job,
        status,
        row.stamped,
        _life_begins(row, now) if is_resent else row.first_sent_at,
        may_exist=(is_resent or status is AdmissionStatus.EXPIRED) and row.state in _MAY_EXIST,
        run_id=row.run_id if is_done or status is AdmissionStatus.BEGUN else None,
        done_in_this_execution=is_done and row.in_this_execution,
    )


def transition(admission: Admission, row: Row) -> tuple[int, State, float] | None:
    """Return what an admission changes in its row: (row id, state, first sent at); None if it changes nothing."""
    if admission.status is AdmissionStatus.EXPIRED:
        return (row.id, State.UNRESOLVED, row.first_sent_at)
    if admission.status is AdmissionStatus.RESEND and row.state is State.FAILED:
        return (row.id, State.PENDING, admission.first_sent_at)
    return None


def _status(row: Row, now: JournalTime) -> AdmissionStatus:
    """Return the status of a job that has a row. A run that exists is never created again, at any age."""
    if not row.same_body:
        return AdmissionStatus.CONFLICT
    if row.state is State.FORGOTTEN:
        return AdmissionStatus.FORGOTTEN
    if row.state in _COMPLETE:
        return AdmissionStatus.DONE
    if row.run_id is not None:
        return AdmissionStatus.BEGUN
    if row.state is State.FAILED or protects(row.first_sent_at, now):
        return AdmissionStatus.RESEND
    return AdmissionStatus.EXPIRED


def _life_begins(row: Row, now: JournalTime) -> float:
    """Return when the token's life began. After a failure the service may still count it from the first attempt."""
    return now.time if row.state is State.FAILED and forgotten(row.first_sent_at, now) else row.first_sent_at
