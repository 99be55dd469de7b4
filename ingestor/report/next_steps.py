"""What to do next: the last lines of a summary. The exit code decides which sentence closes them."""

from collections.abc import Iterator

from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.record import Outcome
from ingestor.model.shell import shell_option, shell_word
from ingestor.model.sources import SourceEnd
from ingestor.model.text import WHOLE, printable
from ingestor.report.ending import End, Files, Reconciled, counts_at
from ingestor.report.metrics import Metrics
from ingestor.report.text import spell_count, spell_source

_DAMAGED_SHOWN = 3


def next_steps(end: End, metrics: Metrics, files: Files) -> Iterator[str]:
    """Say what to do next: one or two sentences a line. Text of the service is made printable."""
    code = ExitCode(end.exit_code)
    if isinstance(end, Reconciled):
        yield from _after_reconciliation(end, metrics, files)
    elif code in {ExitCode.INCOMPLETE, ExitCode.USAGE}:
        yield from _for_incomplete(end, metrics, files)
    elif code is ExitCode.OK:
        yield _all_is_well(end, metrics)
    if metrics.halt is not None and metrics.halt.advice:
        yield printable(metrics.halt.advice, 1000)
    if code.next_step and (metrics.halt is None or metrics.halt.is_recorded):
        yield code.next_step


def experiment_listing(files: Files) -> str:
    """Return the command that lists every experiment of refused records with its count."""
    command = f"ingestor results{_state_option(files)}"
    return f"`{command} | jq -r 'select(.http_status == 403 or .http_status == 404) | .experiment_id' | sort | uniq -c`"


def _all_is_well(finished: BatchFinished, metrics: Metrics) -> str:
    """Say what exit code OK means, and nothing more than that."""
    skipped = f"{spell_count(metrics.skipped.count, 'file')} {'was' if metrics.skipped.count == 1 else 'were'} skipped"
    if not metrics.records:
        return f"There were no records; {skipped}." if metrics.skipped.count else "There were no records."
    forgotten = counts_at(finished, metrics)[Outcome.FORGOTTEN]
    if not forgotten and not metrics.skipped.count:
        return "Every record is a run."
    what = f"is a run, except {forgotten:,} that you gave up (forgotten)" if forgotten else "is a run"
    return f"Every record that was read {what}{f'; {skipped}' if metrics.skipped.count else ''}."


def _for_incomplete(finished: BatchFinished, metrics: Metrics, files: Files) -> Iterator[str]:
    counts = counts_at(finished, metrics)
    if counts[Outcome.PARTIAL]:
        yield f"partial: {_listing(Outcome.PARTIAL, files)} shows what the service refused; the runs exist."
    yield from _for_other_formats(metrics)
    yield from _for_damaged(metrics)
    if counts[Outcome.REJECTED] > metrics.sources.other_formats:
        rejects = shell_word(files.rejects or "")
        yield (
            f"rejected: {rejects} has the reasons. Fix the input and run the same command again; or fix what "
            f"`jq -r .record {rejects}` prints and send it with `ingestor run -` and the same settings."
        )
    if len(metrics.missing_experiments):
        yield "missing experiments: create them where the runs go; the same command then sends these records again."
    if len(metrics.refused_experiments):
        yield (
            "experiments of refused records: check that they exist, and that this principal may create runs in them; "
            "the same command then sends these records again."
        )
    if counts[Outcome.FAILED]:
        yield f"failed: {_listing(Outcome.FAILED, files)} shows the reasons. The same command sends them again."
    if counts[Outcome.UNRESOLVED]:
        yield (
            f"unresolved: {_listing(Outcome.UNRESOLVED, files)} shows the reasons. `ingestor reconcile`, with the same "
            "settings, finds out whether their runs exist. `ingestor forget --outcome unresolved` gives up those that "
            "it can't settle."
        )


def _for_other_formats(metrics: Metrics) -> Iterator[str]:
    count, rejects = metrics.sources.other_formats, metrics.sources.other_format_rejects
    for reject in rejects:
        yield f"{spell_source(reject.origin.source)}: {printable(reject.reason, 1000)}."
    if count > len(rejects):
        yield f"{count - len(rejects):,} more sources have another format: see the rejected records."


def _for_damaged(metrics: Metrics) -> Iterator[str]:
    read = metrics.sources.listed()
    damaged = [it.source for it in read if it.end is SourceEnd.DAMAGED and not it.is_other_format]
    if damaged:
        names = ", ".join(printable(name, WHOLE) for name in damaged[:_DAMAGED_SHOWN])
        more = f" and {len(damaged) - _DAMAGED_SHOWN:,} more" if len(damaged) > _DAMAGED_SHOWN else ""
        yield f"damaged: {names}{more} could not be read to the end. Replace what is damaged, and run the same command."


def _after_reconciliation(done: Reconciled, metrics: Metrics, files: Files) -> Iterator[str]:
    counts = counts_at(done, metrics)
    if counts["not_created"]:
        yield "not created: run the batch again; it sends them under new tokens."
    if counts["unresolved"]:
        yield f"unresolved: {_listing(Outcome.UNRESOLVED, files)} shows why, and what to do, for each."
    if done.exit_code is ExitCode.OK and not counts["not_created"]:
        yield "Every record that was looked up is a run." if counts["created"] else "Nothing was unresolved."


def _listing(outcome: Outcome, files: Files) -> str:
    """Return the command that lists the jobs of an outcome."""
    return f"`ingestor results --outcome {outcome}{_state_option(files)}`"


def _state_option(files: Files) -> str:
    """Return the option for the state directory, if it is not the default."""
    state = files.journal.rpartition("/")[0]
    return "" if state in {"", ".ingestor"} else f" {shell_option('state', state)}"
