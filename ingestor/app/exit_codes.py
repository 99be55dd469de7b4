"""The exit code of a command, from how its work ended."""

from collections.abc import Mapping, Sequence

from ingestor.model.errors import ExitCode
from ingestor.model.events import BatchFinished
from ingestor.model.record import Outcome

_UNFINISHED = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNRESOLVED, Outcome.PARTIAL)
_SEVERITY = (ExitCode.OK, ExitCode.INCOMPLETE, ExitCode.USAGE, ExitCode.STOPPED, ExitCode.HALTED)


def exit_code_of(
    *, halted: bool = False, stopped: bool = False, read_nothing: bool = False, counts: Mapping[Outcome, int]
) -> ExitCode:
    """Return the exit code of work that ended.

    Args:
        halted: whether something is wrong for every record.
        stopped: whether it ended early, and can be continued.
        read_nothing: whether all input has another format.
        counts: records per outcome, as far as they decide.
    """
    if halted:
        return ExitCode.HALTED
    if stopped:
        return ExitCode.STOPPED
    if read_nothing:
        return ExitCode.USAGE
    return ExitCode.INCOMPLETE if any(counts.get(outcome) for outcome in _UNFINISHED) else ExitCode.OK


def worst(ends: Sequence[BatchFinished]) -> ExitCode:
    """Return the exit code of several batches together."""
    return ExitCode(max((end.exit_code for end in ends), key=_SEVERITY.index, default=ExitCode.OK))
