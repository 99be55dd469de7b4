"""A session as `--listen` and `--metrics-file` see it: its readiness and its measurements, made of what it knows."""

import asyncio
import platform
import time
from collections.abc import Callable
from contextlib import suppress

from ingestor import __version__
from ingestor.app.observing.observer import Watched
from ingestor.app.scope import scope_of
from ingestor.journal.facts import BatchFacts, facts_of
from ingestor.journal.journal import SqliteJournal
from ingestor.model.acceptance import Acceptance
from ingestor.model.activity import Activity, Phase
from ingestor.model.durations import COMMIT_BOUNDS, LATENCY_BOUNDS, Durations
from ingestor.model.errors import IngestorError
from ingestor.model.lag import InputLag
from ingestor.policy.identity import Scope
from ingestor.report.attempt_classes import counted
from ingestor.report.eta import RecentPace
from ingestor.report.histogram import as_durations
from ingestor.report.output_file import STALL
from ingestor.report.situation import not_accepted
from ingestor.server.measurements import OUTCOMES, Measurements
from ingestor.server.readiness import AnswersSeen, Check, Readiness, readiness
from ingestor.system.commit import commit

FRESH = 30.0
"""Seconds for which what was found in the journal counts as the present state."""


class MonitoredSession:
    """What is known of a session, and what is remembered of it from second to second. Used in the session's loop.

    Attributes:
        watched: the session.
        started: when it began, seconds since the epoch.
        commit: that the program was made from; None if that is not known.
        last_readiness: what was known at the last look; may be read from any thread.
        pace: how fast it was in the last minutes.
        facts: what the journal knew when it was asked last.
    """

    def __init__(self, watched: Watched, clock: Callable[[], float] = time.monotonic) -> None:
        self.watched = watched
        self.started = time.time()
        self.commit = commit()
        self.pace = RecentPace()
        self.facts = BatchFacts()
        self._clock = clock
        self._answers = AnswersSeen()
        self._commits = Durations(COMMIT_BOUNDS)
        self._scope: Scope | None = None
        self._looked_up_at: float | None = None
        self._looking: asyncio.Task[None] | None = None
        self.last_readiness = self.readiness()

    def look(self) -> None:
        """Remember what is known now. Called once a second."""
        now, watched = self._clock(), self.watched
        if watched.journal is not None:
            self._commits = watched.journal.durations
        self._answers.look(counted(watched.metrics.ends), now)
        self.pace.look(now, watched.metrics.done)
        self.last_readiness = self.readiness()

    def counts(self) -> tuple[int, int]:
        """Return how many records were read, and how many of them have no outcome yet."""
        metrics, activity = self.watched.metrics, self.watched.activity()
        left = 0 if activity is None else activity.left
        read = max(metrics.records, metrics.done) if metrics.records else metrics.done + left
        return read, read - metrics.done

    def lag(self) -> InputLag:
        """Return how far the input is read."""
        if (lag := self.watched.lag()) is not None:
            return lag
        read, total = self.watched.metrics.bytes_read
        return InputLag(unread_bytes=None if total is None else max(0, total - read))

    def measurements(self) -> Measurements:
        """Return the present measurements."""
        self.refresh()
        watched, metrics, activity = self.watched, self.watched.metrics, self.watched.activity()
        (read, left), lag, now = self.counts(), self.lag(), time.time()
        outcomes = {outcome.value: count for outcome, count in metrics.counts.items()}
        created_at, exit_code = self.last_created(), watched.exit_code
        return Measurements(
            batch=watched.options.batch,
            version=__version__,
            python=platform.python_version(),
            commit=self.commit or "",
            outcomes={name: outcomes.get(name, 0) for name in OUTCOMES},
            already_done=metrics.already_done,
            read=read,
            left=left,
            attempts=counted(metrics.ends),
            retries=metrics.retries,
            requests=dict(metrics.acceptance.requests),
            lines={"accepted": metrics.acceptance.accepted, "rejected": metrics.acceptance.rejected},
            latency=as_durations(metrics.latency, LATENCY_BOUNDS),
            commits=self._commits,
            phase=watched.phase,
            health=None if activity is None else activity.health,
            bound=None if activity is None else activity.bound,
            is_ready=self.readiness().ready,
            allowed_rate=None if activity is None else activity.allowed_rate,
            in_flight=0 if activity is None else activity.in_flight,
            slots=0 if activity is None else activity.slots,
            backlog=0 if activity is None else activity.backlog,
            lag_bytes=lag.unread_bytes,
            lag_seconds=None if lag.waiting_since is None else max(0.0, now - lag.waiting_since),
            held_files=lag.held_files,
            held_bytes=lag.held_bytes,
            started=self.started,
            oldest_unresolved=self.facts.oldest_unresolved,
            last_created=created_at,
            last_success=now if exit_code == 0 else self.facts.last_success,
            exit_code=self.facts.last_exit_code if exit_code is None else exit_code,
        )

    def last_created(self) -> float | None:
        """Return when this execution last created a run; None if it did not."""
        at = self.watched.metrics.created_at
        return None if at is None else time.time() - (self._clock() - at)

    def refresh(self) -> None:
        """Ask the journal in a thread, if it was not asked in the last seconds; the answer counts from then on."""
        journal, at, now = self.watched.journal, self._looked_up_at, self._clock()
        if journal is None or (self._looking is not None and not self._looking.done()):
            return
        if at is None or now - at >= FRESH:
            self._looked_up_at = now
            self._looking = asyncio.create_task(self.look_up())

    async def look_up(self) -> None:
        """Ask the journal. It may be busy or gone: then the former answer stays."""
        with suppress(IngestorError):
            scope = await self.scope()
            self.facts = await asyncio.to_thread(facts_of, self.watched.options.state, scope)

    async def scope(self) -> Scope:
        """Return what the keys of the batch are unique in. Raises IngestorError."""
        if self._scope is None:
            self._scope = await asyncio.to_thread(scope_of, self.watched.target, self.watched.options)
        return self._scope

    def readiness(self) -> Readiness:
        """Return what is known now."""
        watched, now = self.watched, self._clock()
        activity = watched.activity()
        return readiness(
            watched.phase,
            watched.sentence(),
            credentials=self._answers.credentials(now),
            journal=_journal_check(watched.journal, watched.phase, activity),
            service=self._answers.service(activity, now),
            accepting=_accepting_check(watched.metrics.acceptance, now),
        )


def _accepting_check(acceptance: Acceptance, now: float) -> Check | None:
    """Return why the records of other programs are refused; None if nothing is known against them."""
    if (why := acceptance.refused_because) is None:
        return None
    return Check(ok=False, reason=not_accepted(why), age=round(max(0.0, now - acceptance.refused_at), 3))


def _journal_check(journal: SqliteJournal | None, phase: Phase, activity: Activity | None) -> Check:
    """Return what is known of the journal."""
    if journal is None or activity is None:
        reason = "it is not open yet" if phase is Phase.OPENING else "it is closed"
        return Check(ok=False, reason=reason, age=None)
    busy_for = journal.busy_for()
    if busy_for > STALL:
        return Check(ok=False, reason="it waits for its disk", age=busy_for)
    return Check(ok=True, reason="it takes what is done", age=busy_for)
