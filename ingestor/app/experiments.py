"""Asks the service, by searches only, whether it serves a target and which experiments of the records can take runs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from random import uniform
from typing import Protocol, TypeVar

from ingestor.api.options import TargetOptions
from ingestor.api.search import Catalog, Existence
from ingestor.api.service import HttpService
from ingestor.model.errors import CredentialsError
from ingestor.model.events import Event
from ingestor.model.ports import Pace
from ingestor.model.reply import Fault, Reply
from ingestor.pipeline.pacer import Pacer
from ingestor.policy.advice import Access, Halt, credentials_halt, malformed_halt, unreached_halt, unusable_halt, words
from ingestor.policy.retry import ReplyKind, RetryBudget, backoff, classify, delay_or_longer

MOST_ASKED = 1000
"""Experiments that the list lacks and that are asked for one by one: the most frequent ones."""

_SILENCE = 3.0  # seconds without an answer after which a message says so
_BUDGET = RetryBudget(max_attempts=3, longest_wait=60.0)
_MOST_FAILURES = 3  # questions in a row without an answer; the others are not asked then

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiments:
    """Which experiments of the records can't take runs, each with the number of its records, most frequent first.

    Attributes:
        missing: those that do not exist.
        deleted: those in the trash.
        not_asked: how many are not known: the service was not asked for them, or did not answer.
        why_not_asked: the reason.
    """

    missing: Mapping[str, int] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)
    not_asked: int = 0
    why_not_asked: str | None = None

    @property
    def can_take_all(self) -> bool:
        """Whether it is certain that all of them can take runs."""
        return not (self.missing or self.deleted or self.not_asked)


async def ask(
    connection: TargetOptions, access: Access, wanted: Mapping[str, int], when_silent: Callable[[], None]
) -> Halt | Experiments:
    """Return what is wrong for every record; if nothing is, which of the `wanted` experiments can't take runs.

    `wanted` has the number of records of each. The service may refuse or fail now and then, and `rate` holds.
    `when_silent` is called if there is no answer for a few seconds.
    """
    pacer = quiet_pacer(connection.rate)
    notice = asyncio.get_running_loop().call_later(_SILENCE, when_silent)
    try:
        async with HttpService(connection) as service:
            questions = Questions(service, pacer)
            reply = await questions.probe()
            notice.cancel()
            return problem_of(reply, access) or await questions.compare(wanted)
    except CredentialsError as error:  # which only a request showed
        return Halt(str(error), advice="")
    finally:
        notice.cancel()


def problem_of(reply: Reply, access: Access) -> Halt | None:
    """Return what is wrong for every record, by the answer to a probe."""
    if reply.fault is Fault.MALFORMED:
        return Halt(malformed_halt(reply).reason, "Check the proxy in between: its answers violate HTTP.")
    if reply.status is None:
        return unreached_halt(reply, access)
    if reply.status == 401:
        return credentials_halt(reply, access)
    return None if reply.is_success else unusable_halt(reply, access)


class Service(Protocol):
    """What can be asked (see `HttpService`)."""

    async def probe(self) -> Reply:
        """Send a search that any target answers."""
        ...

    async def experiments(self, pace: Pace) -> Catalog | Reply:
        """List the experiments."""
        ...

    async def has_experiment(self, experiment_id: str) -> Existence | Reply:
        """Return whether an experiment exists."""
        ...


class Questions:
    """Searches of one service, each repeated a few times if the service refuses or fails for the moment."""

    def __init__(self, service: Service, pacer: Pacer) -> None:
        self._service = service
        self._pacer = pacer

    async def probe(self) -> Reply:
        """Return the answer to a search that any target answers."""
        return await self._answer(self._service.probe)

    async def compare(self, wanted: Mapping[str, int]) -> Experiments:
        """Ask for the list of experiments, and then for each wanted one that is not in it."""
        if not wanted:
            return Experiments()
        frequent = dict(sorted(wanted.items(), key=lambda item: (-item[1], item[0])))
        catalog = await self._answer(partial(self._service.experiments, self._pacer.acquire))
        listed = catalog if isinstance(catalog, Catalog) else Catalog(frozenset(), frozenset())
        known = dict.fromkeys(frequent.keys() & listed.active, Existence.ACTIVE)
        known |= dict.fromkeys(frequent.keys() & listed.deleted, Existence.DELETED)
        why = await self._ask_one_by_one([name for name in frequent if name not in known], known)
        return Experiments(
            missing={name: count for name, count in frequent.items() if known.get(name) is Existence.MISSING},
            deleted={name: count for name, count in frequent.items() if known.get(name) is Existence.DELETED},
            not_asked=len(frequent) - len(known),
            why_not_asked=why,
        )

    async def _ask_one_by_one(self, names: list[str], known: dict[str, Existence]) -> str | None:
        """Add what is known about these experiments. Return why nothing is known about some, None if there are none."""
        failed: Reply | None = None
        failures = 0
        for name in names[:MOST_ASKED]:
            state = await self._answer(partial(self._service.has_experiment, name))
            if isinstance(state, Existence):
                known[name] = state
                failures = 0
                continue
            failed, failures = state, failures + 1
            if failures == _MOST_FAILURES or (state.retry_after or 0.0) > _BUDGET.longest_wait:
                break
        if failed is not None:
            return words(failed)
        return f"no more than {MOST_ASKED:,} are asked for one by one" if len(names) > MOST_ASKED else None

    async def _answer(self, question: Callable[[], Awaitable[T | Reply]]) -> T | Reply:
        """Ask until there is an answer, at most a few times; return the last reply if there is none."""
        attempts = 0
        while True:
            await self._pacer.acquire()
            sent_at = asyncio.get_running_loop().time()
            answer = await question()
            reply = answer if isinstance(answer, Reply) else Reply(status=200)
            if reply.fault is Fault.HELD:
                continue
            if reply.status is not None:
                self._pacer.observe(throttled=reply.status == 429, sent_at=sent_at, retry_after=None)
            attempts += 1
            if attempts == _BUDGET.max_attempts or not _is_passing(reply):
                return answer
            await asyncio.sleep(delay_or_longer(reply, _BUDGET, backoff(attempts, _BUDGET, uniform)))


def _is_passing(reply: Reply) -> bool:
    """Whether the same question may have an answer soon. A service that can't be reached is reported at once."""
    if (reply.fault is not None and reply.fault.sent_nothing) or (reply.retry_after or 0.0) > _BUDGET.longest_wait:
        return False
    return classify(reply).kind in (ReplyKind.THROTTLED, ReplyKind.TRANSIENT) and reply.status != 200


def quiet_pacer(rate: float | None) -> Pacer:
    """Return a pacer of which no event is logged."""
    return Pacer(rate, _Nobody())


class _Nobody:
    """Takes the events of the pacer: they say nothing to a user who waits for a check."""

    def emit(self, event: Event) -> None:
        """Ignore an event."""
