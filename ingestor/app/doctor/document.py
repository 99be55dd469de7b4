"""The findings as text for one screen, and as JSON. Every text is redacted, and safe for a terminal."""

import json
import platform
from collections.abc import Iterator, Sequence
from textwrap import wrap

from ingestor import __version__
from ingestor.api.redaction import Redactor
from ingestor.app.doctor.check import Result
from ingestor.app.doctor.finding import Finding, Grade
from ingestor.app.doctor.subject import Setting, Subject
from ingestor.model.errors import ExitCode
from ingestor.model.text import WHOLE, printable
from ingestor.report.text import spell_count

_WIDTH = 110
_INDENT = 26


def head(subject: Subject, redactor: Redactor) -> Iterator[str]:
    """Yield the versions, and the settings with their origins."""
    yield _safe(_versions(), redactor)
    width = max(map(len, subject.settings), default=0)
    for name, setting in subject.settings.items():
        yield _safe(f"  {name:{width}}  {_value(setting)}  ({setting.origin})", redactor)
    yield ""


def lines(result: Result, redactor: Redactor) -> Iterator[str]:
    """Yield the lines of one check that was done."""
    name = result.name
    for finding in result.findings:
        rows = _wrapped(_safe(_text(finding), redactor))
        yield _row(finding.grade, name) + rows[0]
        yield from (" " * _INDENT + row for row in rows[1:])
        name = ""


def omissions(results: Sequence[Result]) -> Iterator[str]:
    """Yield a line for each cause for which checks were not done."""
    for cause in dict.fromkeys(it.because for it in results if it.because is not None):
        names = ", ".join(it.name for it in results if it.because == cause)
        for number, row in enumerate(_wrapped(f"{names}: because of the problem with: {cause}")):
            yield (_row(Grade.NOT_CHECKED, "") if number == 0 else " " * _INDENT) + row


def ending(results: Sequence[Result]) -> str:
    """Return the last line."""
    problems, warnings = _count(results, Grade.PROBLEM), _count(results, Grade.WARNING)
    also = f", {spell_count(warnings, 'warning')}" if warnings else ""
    if problems:
        return f"{spell_count(problems, 'problem')}{also}. Correct what is listed, and run `ingestor doctor` again."
    return f"No problem{also}. A run can begin."


def as_json(subject: Subject, results: Sequence[Result], redactor: Redactor) -> str:
    """Return everything as one JSON object."""
    document = {
        "event": "doctor.finished",
        "version": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "offline": subject.offline,
        "settings": {
            name: {"value": redactor.text(_value(it)), "name": it.origin} for name, it in subject.settings.items()
        },
        "checks": [_member(it, redactor) for it in results],
        "problems": _count(results, Grade.PROBLEM),
        "warnings": _count(results, Grade.WARNING),
        "exit_code": exit_code(results),
    }
    return json.dumps(document, indent=2)


def exit_code(results: Sequence[Result]) -> ExitCode:
    """Return what a run would end with: OK, USAGE or HALTED."""
    codes = [finding.exit_code for result in results for finding in result.findings]
    return max(codes, default=ExitCode.OK)


def _member(result: Result, redactor: Redactor) -> dict[str, object]:
    findings = [
        {
            "grade": it.grade,
            "what": redactor.text(it.what),
            "why": redactor.text(it.why),
            "advice": redactor.text(it.advice),
            "exit_code": it.exit_code,
        }
        for it in result.findings
    ]
    return {"check": result.name, "grade": result.grade, "because": result.because, "findings": findings}


def _count(results: Sequence[Result], grade: Grade) -> int:
    return sum(finding.grade is grade for result in results for finding in result.findings)


def _wrapped(text: str) -> list[str]:
    return wrap(text, _WIDTH - _INDENT, break_on_hyphens=False, break_long_words=False) or [""]


def _text(finding: Finding) -> str:
    first, *others = filter(None, (finding.what, finding.why, finding.advice))
    return " ".join([f"{first.rstrip('.')}.", *others]) if others else first


def _versions() -> str:
    return f"ingestor {__version__}, Python {platform.python_version()}, {platform.platform()}"


def _row(grade: Grade, name: str) -> str:
    return f"{grade:<12}{name:<{_INDENT - 12}}"


def _value(setting: Setting) -> str:
    return str(setting.value)


def _safe(text: str, redactor: Redactor) -> str:
    return printable(redactor.text(text), 2 * WHOLE)
