"""`ingestor forget`, from its options to what it prints."""

import json
from collections.abc import Iterator

from ingestor.api.values import server_name
from ingestor.app.forget import Forgotten, Selection, change
from ingestor.app.messages import print_result
from ingestor.journal.database import NAME
from ingestor.model.errors import ExitCode
from ingestor.model.record import Forgettable
from ingestor.model.text import WHOLE, printable
from ingestor.report.text import spell_count
from ingestor.settings.commands import ForgetOptions
from ingestor.settings.options import Settings
from ingestor.settings.values import Output


def forget(own: ForgetOptions, settings: Settings, batch: str | None) -> int:
    """Forget records of the batch with this name, or of the only one, and print what was done. Raises IngestorError."""
    selection = Selection(
        job_ids=own.job_id,
        outcome=own.outcome,
        batch=batch,
        platform=settings.platform_id if settings.tracking_uri is None else server_name(settings.tracking_uri),
        workspace=settings.workspace,
        rejects=settings.rejects,
    )
    done = change(settings.state, selection, undo=own.undo, allow_network_state=settings.allow_network_state)
    if settings.output is Output.JSON:
        scope = {"batch": done.scope.batch, "platform": done.scope.platform, "workspace": done.scope.workspace}
        counts = {"undo": done.undo, "counts": done.counts, "unchanged": done.unchanged, "damaged": done.damaged}
        files = [str(path) for path in done.files]
        print_result(json.dumps({"journal": str(settings.state / NAME), **scope, **counts, "files": files}))
    else:
        print_result("\n".join(_lines(done, own, settings)))
    return ExitCode.OK


def _lines(done: Forgotten, own: ForgetOptions, settings: Settings) -> Iterator[str]:
    changed = ", ".join(f"{count:,} {outcome}" for outcome, count in done.counts.items())
    what = "No longer forgotten" if done.undo else "Forgotten"
    yield f"{what} in {done.scope.display}: {changed or 'nothing'}"
    for path in done.files:
        yield f"  read {printable(str(path), WHOLE)}"
    if own.outcome is Forgettable.REJECTED and not done.undo and not done.files:
        yield f"There is no file of rejected records: {printable(str(settings.rejects), WHOLE)} does not exist."
    if done.unchanged:
        had = "had been so before"
        if done.files:
            had += ", or had the text of another"
        yield f"{spell_count(done.unchanged, 'record')} {had}"
    if done.damaged:
        yield (
            f"Not forgotten: {spell_count(done.damaged, 'damaged source')}. What is missing there is not known: "
            "replace the source and run the same command again."
        )
    if changed:
        yield (
            "The next run sends or reports them again."
            if done.undo
            else "They are not sent again, and count as done. The same command with --undo takes that back."
        )
