"""What is printed fits a screen, is safe to paste, and says what to do."""

import json

import pytest

from ingestor.api.redaction import Redactor
from ingestor.app.doctor.check import Result
from ingestor.app.doctor.document import as_json, ending, exit_code, head, lines, omissions
from ingestor.app.doctor.finding import ok, problem, warning
from ingestor.app.doctor.subject import Setting, Subject
from ingestor.model.errors import ExitCode

SECRET = "a-token-of-nobody-9371"
REDACTOR = Redactor([SECRET])
SUBJECT = Subject(settings={"rate": Setting("5.0", "--rate"), "batch": Setting(f"x{SECRET}", "INGESTOR_BATCH")})
BAD = Result("tls", [problem(f"It says {SECRET}.", why="It is wrong.", advice="Correct it. " * 30)])
ODD = Result("clock", [warning("slow", advice="Set it."), warning("odd")])
FOLLOWS = [Result("access", (), "tls"), Result("experiments", (), "tls")]


def test_a_finding_is_one_row_with_its_reason_and_advice_wrapped_under_it() -> None:
    first, *others = lines(BAD, REDACTOR)
    assert first.startswith("problem     tls           It says ********. It is wrong. Correct it.")
    assert others
    assert all(row.startswith((" " * 26 + "Correct", " " * 26 + "it.")) for row in others)
    assert max(map(len, [first, *others])) <= 110


def test_the_name_of_a_check_is_shown_once() -> None:
    assert list(lines(ODD, REDACTOR)) == [
        "warning     clock         slow. Set it.",
        "warning                   odd",
    ]


def test_a_long_path_or_address_is_not_broken() -> None:
    address = "https://" + "x" * 150
    (row,) = lines(Result("target", [ok(address)]), REDACTOR)
    assert row.endswith(address)


def test_what_was_not_checked_is_one_row_for_each_cause() -> None:
    assert list(omissions([BAD, *FOLLOWS])) == [
        "not checked               access, experiments: because of the problem with: tls"
    ]


@pytest.mark.parametrize(
    ("results", "last"),
    [
        ([Result("a", [ok("well")])], "No problem. A run can begin."),
        ([ODD], "No problem, 2 warnings. A run can begin."),
        ([BAD, ODD], "1 problem, 2 warnings. Correct what is listed, and run `ingestor doctor` again."),
    ],
)
def test_the_last_line_says_whether_a_run_can_begin(results: list[Result], last: str) -> None:
    assert ending(results) == last


def test_the_settings_are_listed_with_their_origins_and_without_secrets() -> None:
    assert list(head(SUBJECT, REDACTOR))[1:] == ["  rate   5.0  (--rate)", "  batch  x********  (INGESTOR_BATCH)", ""]


def test_json_has_everything_and_no_secret() -> None:
    text = as_json(SUBJECT, [BAD, ODD, *FOLLOWS], REDACTOR)
    document = json.loads(text)
    assert SECRET not in text
    assert (document["problems"], document["warnings"], document["exit_code"]) == (1, 2, 4)
    assert document["checks"][2] == {"check": "access", "grade": "not checked", "because": "tls", "findings": []}
    assert document["settings"]["rate"] == {"value": "5.0", "name": "--rate"}


def test_the_exit_code_is_that_of_the_worst_problem() -> None:
    usage = Result("a", [problem("x", exit_code=ExitCode.USAGE)])
    assert exit_code([ODD]) is ExitCode.OK
    assert exit_code([usage, ODD]) is ExitCode.USAGE
    assert exit_code([usage, BAD]) is ExitCode.HALTED
