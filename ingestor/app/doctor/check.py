"""A check, and the order in which checks run: each as soon as those that it needs have ended."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

from ingestor.app.doctor.finding import Finding, Grade, problem, warning, worst
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.model.errors import IngestorError
from ingestor.system.limits import limit_of
from ingestor.system.tasks import in_thread

Findings = Finding | Sequence[Finding]
Look = Callable[[Subject, Facts], Awaitable[Findings]]
"""Examines one thing. Raises IngestorError for a problem that is described by that error."""

SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. To add one, write its `look`, and list it in `catalog`.

    Attributes:
        name: one word, unique.
        look: examines, and returns what it found.
        needs: the checks that must have found no problem.
        after: the checks that must have ended, whatever they found.
        online: whether it sends something.
        seconds: how long it may take.
        late: the grade of a check that takes longer.
    """

    name: str
    look: Look
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    online: bool = False
    seconds: float = SECONDS
    late: Grade = Grade.WARNING


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found; `because` is the check whose problem is the reason why it was not done."""

    name: str
    findings: Sequence[Finding]
    because: str | None = None

    @property
    def grade(self) -> Grade:
        """The worst grade of its findings."""
        return Grade.NOT_CHECKED if self.because is not None else worst(self.findings)


def blocking(look: Callable[[Subject, Facts], Findings]) -> Look:
    """Return a check that blocks as one that does not: it runs in a thread that nothing waits for at the end."""

    async def look_in_thread(subject: Subject, facts: Facts) -> Findings:
        return await in_thread(partial(look, subject, facts), "doctor")

    return look_in_thread


async def examine(checks: Sequence[Check], subject: Subject, facts: Facts) -> AsyncGenerator[Result]:
    """Run the checks, independent ones at once, and yield their results in the order of `checks`."""
    running: dict[str, asyncio.Task[Result]] = {}
    for check in checks:
        running[check.name] = asyncio.create_task(_run(check, subject, facts, running))
    try:
        for task in running.values():
            yield await task
    finally:
        for task in running.values():
            task.cancel()
        await asyncio.gather(*running.values(), return_exceptions=True)


async def _run(check: Check, subject: Subject, facts: Facts, running: dict[str, asyncio.Task[Result]]) -> Result:
    before = {name: await running[name] for name in (*check.needs, *check.after) if name in running}
    if (cause := _cause(before[name] for name in check.needs)) is not None:
        return Result(check.name, (), cause)
    found = await _findings(check, subject, facts)
    return Result(check.name, [found] if isinstance(found, Finding) else found)


def _cause(needed: Iterable[Result]) -> str | None:
    """Return the check whose problem makes another one pointless; None if there is none."""
    for result in needed:
        if result.because is not None:
            return result.because
        if result.grade is Grade.PROBLEM:
            return result.name
    return None


async def _findings(check: Check, subject: Subject, facts: Facts) -> Findings:
    """Return what a check finds; an error and a delay are findings too."""
    try:
        async with asyncio.timeout(check.seconds):
            return await check.look(subject, facts)
    except TimeoutError:
        return _late(check)
    except IngestorError as error:
        return problem(str(error), exit_code=error.exit_code)
    except Exception as error:  # noqa: BLE001 - what one check meets must not hide what the others find
        limit = limit_of(error)
        return problem(str(limit) if limit is not None else f"This check failed: {_words(error)}.")


def _late(check: Check) -> Finding:
    what = f"This check did not end within {check.seconds:g} seconds."
    if check.late is Grade.PROBLEM:
        return problem(what)
    return warning(what, advice="It may need more time than it has here.")


def _words(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return type(error).__name__
