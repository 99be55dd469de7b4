"""`ingestor forget`: records that will never work are not sent again, and count as done. `--undo` takes that back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from ingestor.app.chosen_batch import choose_batch
from ingestor.app.earlier_rejects import EarlierRejects
from ingestor.app.options import checked, options_of
from ingestor.app.reading import AnyPath
from ingestor.app.target import Target
from ingestor.journal.batches import KnownBatch
from ingestor.journal.database import NAME, transaction
from ingestor.journal.forgotten import (
    FORGETTABLE,
    find_states,
    forget_jobs,
    forget_rejects,
    recall_jobs,
    recall_rejects,
)
from ingestor.journal.lock import StateDirectory
from ingestor.journal.reader import known_batches
from ingestor.model.errors import UsageError
from ingestor.model.record import Forgettable, State
from ingestor.model.text import printable
from ingestor.policy.identity import Scope

if TYPE_CHECKING:
    from sqlite3 import Connection


class Options(TypedDict, total=False):
    """What `forget` takes of the options of a batch."""

    rejects: AnyPath | None
    allow_network_state: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which records: those with these job ids, or all with one outcome; of which batch.

    Attributes:
        job_ids: as `ingestor results` shows them.
        outcome: rejected records are those in the file `rejects`, and in those of earlier runs next to it.
        batch: its name; None if the journal has only one.
        platform: the platform, or the address of a tracking server; None if the name says which batch it is.
        workspace: as `platform`.
        rejects: the file of the records that the last run rejected.
    """

    job_ids: Sequence[str]
    outcome: Forgettable | None
    batch: str | None
    platform: str | None
    workspace: str | None
    rejects: Path

    def __post_init__(self) -> None:
        if bool(self.job_ids) == (self.outcome is not None):
            raise UsageError("Give either the job ids (--job-id) or the outcome (--outcome) of what to forget.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What `forget` did.

    Attributes:
        scope: the batch and its target.
        undo: whether it took back an earlier one.
        counts: how many records were changed, by their outcome (or state) without `forget`.
        unchanged: how many were already as wanted; of rejected records, also those with the text of another.
        damaged: how many rejects of damaged sources were left out: these are reported until the source is replaced.
        files: the files of rejected records that were read.
    """

    scope: Scope
    undo: bool
    counts: Mapping[str, int]
    unchanged: int
    damaged: int = 0
    files: Sequence[Path] = ()


def forget(
    *,
    job_ids: Sequence[str] = (),
    outcome: str | None = None,
    undo: bool = False,
    batch: str | None = None,
    target: Target | None = None,
    state: AnyPath = ".ingestor",
    **options: Unpack[Options],
) -> Forgotten:
    """Stop sending records that will never work: they count as done from now on.

    Args:
        job_ids: the jobs, as `results` names them. Give these or `outcome`.
        outcome: "failed", "unresolved" or "rejected": all records of that outcome. Rejected records are those in the
            files that runs left: the one that `rejects` names, and `<its name>-<time>` next to it.
        undo: whether to take back what an earlier call did: each record gets its former state.
        batch: the name of the batch; None if the journal has only one.
        target: where the batch goes; None if its name says which one it is.
        state: the state directory.
        **options: `rejects` and `allow_network_state`, as in `ingest`.

    Raises:
        UsageError: no journal, no such batch or job, or a job that has a run.
        StateInUseError: another process or call uses the state directory.
        JournalError: the journal can't be read or written.
    """
    settings = options_of("default" if batch is None else batch, state, options)
    selection = Selection(
        job_ids=[job_ids] if isinstance(job_ids, str) else list(job_ids),
        outcome=None if outcome is None else checked("outcome", _outcome, outcome),
        batch=batch,
        platform=None if target is None else target.platform,
        workspace=None if target is None else target.workspace,
        rejects=settings.rejects_path,
    )
    return change(settings.state, selection, undo=undo, allow_network_state=settings.allow_network_state)


def change(state: Path, selection: Selection, *, undo: bool, allow_network_state: bool) -> Forgotten:
    """Forget the selected records, or take that back, in one transaction. Raises as `forget`."""
    batch = choose_batch(
        known_batches(state),
        state,
        name=selection.batch,
        platform=selection.platform,
        workspace=selection.workspace,
    )
    with StateDirectory.open(state, allow_network_fs=allow_network_state), transaction(state / NAME) as connection:
        if selection.outcome is not Forgettable.REJECTED:
            return _change_jobs(connection, batch, selection, undo=undo)
        if undo:
            count = recall_rejects(connection, batch.number)
            return Forgotten(scope=batch.scope, undo=True, counts=_counts(rejected=count), unchanged=0)
        rejects = EarlierRejects(selection.rejects)
        counts = forget_rejects(connection, batch.number, rejects)
    return Forgotten(
        scope=batch.scope,
        undo=False,
        counts=_counts(rejected=counts["new"]),
        unchanged=counts["known"],
        damaged=rejects.damaged,
        files=tuple(rejects.files),
    )


def _change_jobs(connection: "Connection", batch: KnownBatch, selection: Selection, *, undo: bool) -> Forgotten:
    keys = selection.job_ids
    _require_forgettable(find_states(connection, batch.number, keys), keys, batch, undo=undo)
    job_state = None if selection.outcome is None else State(selection.outcome)
    counts = (recall_jobs if undo else forget_jobs)(connection, batch.number, state=job_state, keys=keys)
    unchanged = len(set(keys)) - counts.total() if keys else 0
    return Forgotten(scope=batch.scope, undo=undo, counts=_counts(**counts), unchanged=unchanged)


def _counts(**counts: int) -> dict[str, int]:
    return {outcome: count for outcome, count in counts.items() if count}


def _require_forgettable(states: Mapping[str, State], keys: Collection[str], batch: KnownBatch, *, undo: bool) -> None:
    """Raise UsageError for a job id that is not known, or that has a run."""
    name = printable(batch.scope.batch)
    if unknown := [key for key in keys if key not in states]:
        raise UsageError(
            f"job id {printable(unknown[0], 200)}: batch {name} has no such job. `ingestor results` lists them. A "
            "rejected record is no job: --outcome rejected forgets these."
        )
    settled = FORGETTABLE | {State.FORGOTTEN}
    if not undo and (done := [key for key in keys if states[key] not in settled]):
        raise UsageError(
            f"job id {printable(done[0], 200)}: its run exists ({states[done[0]]}), so nothing of it is sent again. "
            "Only jobs that are failed, unresolved or pending can be forgotten."
        )


def _outcome(text: str) -> Forgettable:
    if text not in list(Forgettable):
        raise ValueError(f"must be one of {', '.join(Forgettable)}")
    return Forgettable(text)
