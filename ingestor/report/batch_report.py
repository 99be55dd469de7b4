"""The report of a batch, as values and as sentences: what came in, what exists now, what is missing, what to do."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ingestor.model.account import CountTable, ExecutionRow, Failures, Pruned
from ingestor.model.errors import ExitCode
from ingestor.model.history import Pause, Point, Rejects
from ingestor.model.record import Outcome, State
from ingestor.model.shell import shell_option
from ingestor.model.text import printable
from ingestor.report.execution import duration_of, rest_of
from ingestor.report.text import spell_count, spell_duration, spell_moment

_REACHED_ITS_END = (ExitCode.OK, ExitCode.INCOMPLETE)

NO_RUN = (State.FAILED, State.UNRESOLVED, State.PENDING, Outcome.REJECTED)
"""The outcomes of records that have no run, or may have none."""

COLUMNS = (
    State.CREATED,
    State.PARTIAL,
    State.FAILED,
    State.UNRESOLVED,
    State.PENDING,
    State.FORGOTTEN,
    Outcome.REJECTED,
)
"""The outcomes that the journal knows, in the order of tables."""


class Life(StrEnum):
    """Whether a batch is being processed."""

    RUNNING = "running"
    """A process works on it now."""
    KILLED = "killed"
    """The last execution has no end, and no process uses the state directory."""
    ENDED = "ended"
    """The last execution has ended."""
    UNKNOWN = "unknown"
    """This user may not see whether a process uses the state directory, or there was no execution."""


_SO_FAR: Mapping[Life, str] = {Life.RUNNING: "In progress", Life.KILLED: "Killed before its end"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Digest:
    """What proves that `ingestor results` shows the same as the report.

    Attributes:
        sha256: of the output of `results_command`, in hexadecimal digits.
        lines: of that output.
        batches: how many batches have this name: of more than one, the output has all of them.
    """

    sha256: str
    lines: int
    batches: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchReport:
    """A batch at one time. Times are seconds since the epoch.

    Attributes:
        batch: its name.
        target: where its runs are, in words.
        state_option: the option that names the state directory to a command, if it is needed; else "".
        made_at: when the journal was read.
        made_by: the version of the program that did it.
        life: whether it is being processed.
        jobs: jobs in each state: the lines of `ingestor results`.
        pruned: the rows that `ingestor prune` has deleted.
        rejects: records that were rejected since the batch was last read from its beginning.
        forgotten_rejects: rejected records that the user gave up.
        executions: the last ones, the latest first.
        failures: why records have no complete run.
        sources: records by source, rejected ones included.
        experiments: jobs by experiment.
        points: how fast the last execution was: points of one step.
        all_points: how fast all executions were; empty if there was only one.
        pauses: when nothing was sent.
        digest: of the output of `results`; None if it was not asked for.
    """

    batch: str
    target: str
    state_option: str
    made_at: float
    made_by: str
    life: Life
    jobs: Mapping[str, int]
    pruned: Pruned
    rejects: Rejects
    forgotten_rejects: int
    executions: Sequence[ExecutionRow]
    failures: Failures
    sources: CountTable
    experiments: CountTable
    points: Sequence[Point] = ()
    all_points: Sequence[Point] = ()
    pauses: Sequence[Pause] = ()
    digest: Digest | None = field(default=None)

    @property
    def counts(self) -> dict[str, int]:
        """Records of each outcome: jobs, rejected records, and what was pruned."""
        counts = {str(name): self.jobs.get(name, 0) + self.pruned.counts.get(State(name), 0) for name in State}
        return {**counts, str(Outcome.REJECTED): self.rejects.total}

    @property
    def total(self) -> int:
        """All records that came in."""
        return sum(self.counts.values())

    @property
    def runs(self) -> int:
        """Runs that exist."""
        return self.counts[State.CREATED] + self.counts[State.PARTIAL]

    @property
    def without_run(self) -> int:
        """Records that have no run, or may have none, and were not given up."""
        return sum(self.counts[name] for name in NO_RUN)

    @property
    def is_unfinished(self) -> bool:
        """Whether the last execution did not do all that there was to do: it was killed, or ended early."""
        return self.life is Life.KILLED or bool(self.left_undone)

    @property
    def left_undone(self) -> str:
        """What the last execution left when it ended early, in words; "" if it did not, or has not ended."""
        last = self.last
        if last is None or last.exit_code is None:
            return ""
        code = "" if last.exit_code in _REACHED_ITS_END else f"it ended with exit code {last.exit_code}"
        return ", and ".join(rest_of(last)) or code

    @property
    def last(self) -> ExecutionRow | None:
        """The last execution."""
        return self.executions[0] if self.executions else None


@dataclass(frozen=True, slots=True)
class Missing:
    """Records of one outcome that need attention: what it means, and what to do."""

    outcome: str
    count: int
    meaning: str
    advice: str


def headline(report: BatchReport) -> str:
    """Say in one sentence whether every record is a run."""
    without, total = report.without_run, report.total
    so_far = f"{spell_count(report.runs, 'run')} of {spell_count(total, 'record')} so far"
    if report.left_undone:
        return f"Not finished: {report.left_undone}; {so_far}"
    if not total and report.life is not Life.RUNNING:
        return "No record has come in"
    if report.life in _SO_FAR:
        return f"{_SO_FAR[report.life]}: {so_far}"
    if without:
        return f"{without:,} of {spell_count(total, 'record')} {'has' if without == 1 else 'have'} no run"
    if report.counts[State.PARTIAL] or report.counts[State.FORGOTTEN] or report.life is not Life.ENDED:
        return f"{report.runs:,} of {spell_count(total, 'record')} are runs"
    return f"Every record is a run: {spell_count(total, 'run')}"


def sentences(report: BatchReport) -> Iterator[str]:
    """Say what came in, what exists now, and how it ended. All is printable text."""
    known = len(report.sources.rows) + report.sources.others
    where = f", from {spell_count(known, 'source')}" if known else ""
    yield f"{spell_count(report.total, 'record')} came in{where}."
    partial = report.counts[State.PARTIAL]
    exist = f"{spell_count(report.runs, 'run')} {'exists' if report.runs == 1 else 'exist'}"
    yield f"{exist} in {report.target}{f', {partial:,} of them not complete' if partial else ''}."
    if pruned := sum(report.pruned.counts.values()):
        until = "" if report.pruned.up_to is None else f" that ended before {spell_moment(report.pruned.up_to)}"
        yield (
            f"The journal has only the number of {spell_count(pruned, 'record')}{until}: `ingestor prune` has deleted "
            "the rows. `ingestor results` does not list them. A run that reads them again creates them again."
        )
    if report.forgotten_rejects:
        yield f"{spell_count(report.forgotten_rejects, 'rejected record')} were given up (forgotten)."
    yield _ending(report)
    if report.is_unfinished:
        has_cause = report.last is not None and report.last.exit_code in (ExitCode.HALTED, ExitCode.USAGE)
        cause = "Remove the cause, and run" if has_cause else "Run"
        yield (
            f"{cause} the same command again, or `ingestor resume{selection_of(report)}` with the same settings: it "
            "continues, and sends no finished record again."
        )


def missing(report: BatchReport) -> Iterator[Missing]:
    """Return what is not as the user wants it, the most certain loss first."""
    for outcome, (meaning, advice) in _MEANINGS.items():
        if count := report.counts[outcome]:
            shown = _meaning_of_pending(report) if outcome == State.PENDING else meaning
            yield Missing(outcome, count, shown, advice.replace("{selection}", selection_of(report)))


def listing(report: BatchReport, column: str) -> str:
    """Return the command that lists every source, or every experiment, with its number of jobs."""
    return f"{results_command(report)} | jq -r .{column} | sort | uniq -c"


def results_command(report: BatchReport) -> str:
    """Return the command that prints the map from records to runs."""
    return f"ingestor results{selection_of(report)} --format jsonl"


def selection_of(report: BatchReport) -> str:
    """Return the options that name the batch to a command, each after a blank: a journal may have several batches."""
    return f" {shell_option('batch', report.batch)}{report.state_option}"


def ending_of(execution: ExecutionRow, life: Life) -> str:
    """Say how an execution ended. `life` is that of the batch if it is the last execution, else KILLED."""
    if execution.exit_code is None:
        return {Life.RUNNING: "in progress", Life.KILLED: "killed"}.get(life, "in progress, or killed")
    return f"exit code {execution.exit_code}"


def _ending(report: BatchReport) -> str:
    last = report.last
    if last is None:
        return "The journal has no execution of this batch."
    began, took = spell_moment(last.started_at), duration_of(last)
    if last.ended_at is None:
        what = ending_of(last, report.life)
        written = (
            "" if last.progress is None else f"; it last wrote down its progress at {spell_moment(last.progress.at)}"
        )
        return f"The last execution began at {began}, and is {what}{written}."
    code = ExitCode(last.exit_code or 0)
    verb = {ExitCode.HALTED: "halted", ExitCode.STOPPED: "stopped early"}.get(code, "finished")
    reason = "" if last.progress is None or not last.progress.reason else f": {printable(last.progress.reason, 300)}"
    reason = reason.removesuffix(".")
    time = f", after {spell_duration(took)}" if took is not None else ""
    left = "".join(f"; {it}" for it in rest_of(last))
    return (
        f"The last execution {verb} at {spell_moment(last.ended_at)}{time}, with exit code {int(code)}{left}{reason}."
    )


def _meaning_of_pending(report: BatchReport) -> str:
    if report.life is Life.RUNNING:
        return "They are being sent."
    return "They were being sent when the execution ended. Their runs may exist."


_MEANINGS: Mapping[str, tuple[str, str]] = {
    Outcome.REJECTED: (
        "They are not valid, and were never sent.",
        "Fix the input and run the same command again. `rejects.jsonl` has every one, with its reason.",
    ),
    State.FAILED: (
        "The service refused them. It is certain that they have no run.",
        "Remove the cause; the same command sends them again. `ingestor forget --outcome failed{selection}` ends that.",
    ),
    State.UNRESOLVED: (
        "They were sent, and the answer is not known. Their runs may exist.",
        "`ingestor reconcile`, with the same settings, finds out whether their runs exist.",
    ),
    State.PENDING: ("", "The same command, or `ingestor resume` with the same settings, settles them."),
    State.PARTIAL: (
        "Their runs exist. The service refused a part of each.",
        "`ingestor results --outcome partial{selection}` shows what it refused.",
    ),
    State.FORGOTTEN: (
        "You gave them up. They are not sent any more.",
        "`ingestor forget --undo`, with the same selection, takes that back.",
    ),
}
"""Outcomes that are not a complete run: what each means, and what to do."""
