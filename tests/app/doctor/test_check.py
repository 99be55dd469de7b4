"""Checks run in the order of their needs, at once where they can, each for a limited time."""

import asyncio
import threading

import pytest

from ingestor.app.doctor.catalog import CHECKS, checks
from ingestor.app.doctor.check import Check, Look, Result, blocking, examine
from ingestor.app.doctor.finding import Finding, Grade, ok, problem, warning
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.model.errors import ExitCode, UsageError


def finding(found: Finding) -> Look:
    return blocking(lambda *_: found)


async def results(*listed: Check) -> list[Result]:
    return [result async for result in examine(listed, Subject(), Facts())]


GOOD, DOUBT, BAD = finding(ok("well")), finding(warning("odd")), finding(problem("broken"))


@pytest.mark.parametrize(
    ("look", "grade"), [(GOOD, Grade.OK), (DOUBT, Grade.OK), (BAD, Grade.NOT_CHECKED)], ids=["ok", "warning", "problem"]
)
async def test_only_a_problem_stops_the_checks_that_need_it(look: Look, grade: Grade) -> None:
    _, second = await results(Check(name="first", look=look), Check(name="second", look=GOOD, needs=("first",)))
    assert second.grade is grade


async def test_what_follows_from_a_problem_names_its_cause_and_finds_nothing() -> None:
    *_, third = await results(
        Check(name="cause", look=BAD),
        Check(name="between", look=BAD, needs=("cause",)),
        Check(name="last", look=BAD, needs=("between",)),
    )
    assert third == Result("last", (), "cause")


async def test_a_check_that_only_comes_after_another_is_done_whatever_that_found() -> None:
    _, second = await results(Check(name="first", look=BAD), Check(name="second", look=GOOD, after=("first",)))
    assert second.grade is Grade.OK


async def test_independent_checks_run_at_once() -> None:
    meeting = threading.Barrier(3, timeout=10)

    def meet(*_: object) -> Finding:
        meeting.wait()
        return ok("met")

    found = await results(*(Check(name=name, look=blocking(meet)) for name in "abc"))
    assert [it.grade for it in found] == [Grade.OK] * 3


@pytest.mark.parametrize("late", [Grade.WARNING, Grade.PROBLEM])
async def test_a_check_that_hangs_ends_in_time_and_others_are_done(late: Grade) -> None:
    ending = threading.Event()

    def hang(*_: object) -> Finding:
        ending.wait()
        return ok("never")

    try:
        hanging, other = await results(
            Check(name="hangs", look=blocking(hang), seconds=0.05, late=late), Check(name="other", look=GOOD)
        )
    finally:
        ending.set()
    assert hanging.findings[0].what == "This check did not end within 0.05 seconds."
    assert (hanging.grade, other.grade) == (late, Grade.OK)


async def test_an_error_that_a_person_can_act_on_is_a_problem_with_its_exit_code() -> None:
    def fail(*_: object) -> Finding:
        raise UsageError("Name a file.")

    (found,) = await results(Check(name="fails", look=blocking(fail)))
    assert found.findings == [problem("Name a file.", exit_code=ExitCode.USAGE)]


async def test_a_fault_of_a_check_shows_no_text_and_hides_no_other_check() -> None:
    def fail(*_: object) -> Finding:
        raise ValueError("the passphrase is hunter2")

    failed, other = await results(Check(name="fails", look=blocking(fail)), Check(name="other", look=GOOD))
    assert failed.findings == [problem("This check failed: ValueError.")]
    assert other.grade is Grade.OK


async def test_the_checks_that_still_run_are_cancelled_with_the_examination() -> None:
    cancelled = asyncio.Event()

    async def wait(*_: object) -> Finding:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return ok("never")

    examination = examine([Check(name="first", look=GOOD), Check(name="waits", look=wait)], Subject(), Facts())
    assert (await anext(examination)).name == "first"
    await examination.aclose()
    assert cancelled.is_set()


@pytest.mark.parametrize("offline", [False, True])
def test_every_check_needs_only_checks_that_are_listed_before_it(offline: bool) -> None:
    listed = checks(offline=offline)
    names = [it.name for it in listed]
    assert len(set(names)) == len(names)
    for place, check in enumerate(listed):
        assert set(check.needs) <= set(names[:place]), check.name
    assert not (offline and any(it.online for it in listed))
    assert len(listed) < len(CHECKS) if offline else listed == list(CHECKS)
