"""The settings, and the target that they describe."""

from collections.abc import Sequence

from ingestor.api.options import check_target
from ingestor.app.doctor.finding import Finding, ok, problem, warning
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.model.errors import ExitCode
from ingestor.report.text import spell_count


def settings(subject: Subject, _: Facts) -> Sequence[Finding]:
    """Report settings that can't be used, and doubts about the others."""
    wrong = [problem(it, exit_code=ExitCode.USAGE) for it in subject.problems]
    doubts = [warning(it) for it in subject.warnings]
    return [*wrong, *doubts] or [ok(f"{spell_count(len(subject.settings), 'option')} set")]


def target(subject: Subject, _: Facts) -> Sequence[Finding]:
    """Report what is missing of the target, or what is never sent there."""
    if subject.target is None:
        return [problem(it, exit_code=ExitCode.USAGE) for it in subject.no_target]
    it = subject.target
    check_target(it.connection(connections=1, timeout=1.0))
    what = f"{it.endpoint.display}, --auth {it.auth.kind}"
    if it.endpoint.display.startswith("http:") and not it.endpoint.is_on_this_machine:
        return [
            warning(
                what,
                why="The address is not encrypted: others on the way can read and change the records.",
                advice="Use an https address if the server has one.",
            )
        ]
    return [ok(what)]
