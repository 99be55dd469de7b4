"""What a check finds: a grade, what was seen, why that matters, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from ingestor.model.errors import ExitCode


class Grade(StrEnum):
    """How good a finding is."""

    OK = "ok"
    WARNING = "warning"
    """A run can begin, and something should be changed."""
    PROBLEM = "problem"
    """A run would end with the finding's exit code."""
    NOT_CHECKED = "not checked"
    """Another check has found a problem that makes this one pointless."""


_SEVERITY = (Grade.OK, Grade.NOT_CHECKED, Grade.WARNING, Grade.PROBLEM)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found. Texts are sentences, and may contain hostile text.

    Attributes:
        grade: how good it is.
        what: what was seen.
        why: why that matters, or what would happen.
        advice: what to do.
        exit_code: what a run would end with; OK if a run can begin.
    """

    grade: Grade
    what: str
    why: str = ""
    advice: str = ""
    exit_code: ExitCode = ExitCode.OK


def ok(what: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(Grade.OK, what)


def warning(what: str, *, why: str = "", advice: str = "") -> Finding:
    """Return a finding that does not prevent a run."""
    return Finding(Grade.WARNING, what, why, advice)


def problem(what: str, *, why: str = "", advice: str = "", exit_code: ExitCode = ExitCode.HALTED) -> Finding:
    """Return a finding that prevents a run, which would end with `exit_code`."""
    return Finding(Grade.PROBLEM, what, why, advice, exit_code)


def worst(findings: Sequence[Finding]) -> Grade:
    """Return the grade of findings together."""
    return max((it.grade for it in findings), key=_SEVERITY.index, default=Grade.OK)
