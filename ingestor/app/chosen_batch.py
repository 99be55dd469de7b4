"""The one batch of a journal that a command is about."""

from collections.abc import Sequence
from pathlib import Path

from ingestor.app.scope import absolute
from ingestor.journal.batches import KnownBatch, unknown_batch
from ingestor.model.errors import UsageError
from ingestor.model.text import printable


def choose_batch(
    known: Sequence[KnownBatch], state: Path, *, name: str | None, platform: str | None, workspace: str | None
) -> KnownBatch:
    """Return the one batch that is meant.

    Without a `name` it is the only one of the journal. `platform` and `workspace` are those of a target; None if the
    name says which batch it is. Raises UsageError.
    """
    names = dict.fromkeys(it.scope.batch for it in known)
    if name is None and len(names) == 1:
        (name,) = names
    if name is None:
        raise UsageError(
            f"Name the batch with --batch: the journal in {absolute(state)} has {', '.join(map(printable, names))}."
            if names
            else f"The journal in {absolute(state)} has no batch yet."
        )
    if name not in names:
        raise unknown_batch(name, list(names), state)
    found = [it for it in known if it.scope.batch == name and _is_target(it, platform, workspace)]
    if len(found) == 1:
        return found[0]
    targets = ", and to ".join(it.scope.target for it in found or known if it.scope.batch == name)
    which = "say which with" if found else "that is not the target that you name with"
    raise UsageError(
        f"Batch {printable(name)} in {absolute(state)} went to {targets}: {which} --platform-id and --workspace, or "
        "with --tracking-uri."
    )


def _is_target(known: KnownBatch, platform: str | None, workspace: str | None) -> bool:
    return (platform is None or known.is_at(platform)) and workspace in (None, known.scope.workspace)
