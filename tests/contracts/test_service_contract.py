"""The port Target: what the stand-in and the client of a real service promise alike.

The real service is the simulator: each `Service` says how both are made to behave in the same way.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from ingestor.api.client import make_target
from ingestor.api.endpoint import aidp
from ingestor.api.options import AuthKind, AuthOptions, TargetOptions
from ingestor.api.senders.pool import SenderPool
from ingestor.model.finding import Presence
from ingestor.model.ports import Target
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.policy.identity import STAMP, TOKEN_LIFE
from ingestor.policy.retry import classify
from ingestor.simulator.faults import InjectedFault
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, RetryAfter, SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.journal.support import HandClock
from tests.support.memory import Lookup, Lost, MemoryService, Script, found_out, well_behaved
from tests.support.records import job, jobs


@dataclass(frozen=True)
class Service:
    """How a service behaves: by `script` in memory; by `options` and `away` (nobody listens) in the simulator.

    `latency` is the stand-in's; `timeout` the real client's.
    """

    script: Script = well_behaved
    probe: Reply | None = None
    lookup: Lookup = found_out
    options: SimulatorOptions = field(default_factory=SimulatorOptions)
    away: bool = False
    latency: float = 0.0
    timeout: float = 30.0


@dataclass(frozen=True)
class Served:
    """A target, and the request bodies of the runs its service has."""

    target: Target
    bodies: Callable[[], Counter[bytes]]


Serve = Callable[[Service], AbstractAsyncContextManager[Served]]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["memory", "http", "senders"])
def serve(request: pytest.FixtureRequest, clock: HandClock) -> Serve:
    @asynccontextmanager
    async def in_memory(service: Service) -> AsyncIterator[Served]:
        target = MemoryService(
            service.script, latency=service.latency, probe=service.probe, now=clock.now, lookup=service.lookup
        )
        yield Served(target, lambda: Counter(run.body for run in target.made))

    @asynccontextmanager
    async def over_http(service: Service) -> AsyncIterator[Served]:
        async with AsyncExitStack() as running:
            simulator = await running.enter_async_context(Simulator(service.options, now=clock.now))
            if service.away:
                await running.aclose()
            endpoint = aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY)
            nobody = AuthOptions(kind=AuthKind.NONE)
            options = TargetOptions(endpoint=endpoint, auth=nobody, connections=64, timeout=service.timeout)
            async with make_target(options) if request.param == "http" else SenderPool(options, 2) as target:
                yield Served(target, simulator.account.runs_by_body)

    return in_memory if request.param == "memory" else over_http


def sometimes(fault: InjectedFault) -> SimulatorOptions:
    """Spoil the first request and not the second, as the dice of this seed fall."""
    return SimulatorOptions(faults={fault: 0.5}, seed=1)


def always(fault: InjectedFault) -> SimulatorOptions:
    return SimulatorOptions(faults={fault: 1.0})


async def test_a_created_run_is_named_with_its_experiment(serve: Serve) -> None:
    async with serve(Service()) as served:
        reply = await served.target.create(job(1, experiment_id="7"), stamped=False)
        assert (reply.status, reply.fault, reply.code, reply.experiment_id) == (200, None, None, "7")
        assert reply.run_id
        assert served.bodies() == {job(1, experiment_id="7").body: 1}


async def test_the_same_token_names_the_same_run(serve: Serve) -> None:
    async with serve(Service()) as served:
        run_ids = {(await served.target.create(job(1), stamped=True)).run_id for _ in range(3)}
        assert len(run_ids) == served.bodies().total() == 1


async def test_another_token_makes_another_run(serve: Serve) -> None:
    async with serve(Service()) as served:
        replies = await asyncio.gather(*(served.target.create(one, stamped=True) for one in jobs(50)))
        assert len({reply.run_id for reply in replies}) == served.bodies().total() == 50


@pytest.mark.parametrize(("age", "runs"), [(TOKEN_LIFE - 1, 1), (TOKEN_LIFE, 2)])
async def test_a_token_protects_for_a_day_and_no_longer(serve: Serve, clock: HandClock, age: float, runs: int) -> None:
    async with serve(Service()) as served:
        first = await served.target.create(job(1), stamped=True)
        clock.time += age
        second = await served.target.create(job(1), stamped=True)
        assert len({first.run_id, second.run_id}) == served.bodies().total() == runs


async def test_a_token_that_comes_with_another_body_is_invalidated(serve: Serve) -> None:
    async with serve(Service()) as served:
        await served.target.create(job(1), stamped=True)
        reply = await served.target.create(job(1), stamped=False)
        assert told(reply) == (409, None, "InvalidatedRetryToken", None)
        assert served.bodies().total() == 1


@pytest.mark.parametrize("stamped", [True, False])
async def test_a_run_carries_its_token_as_a_tag_where_it_is_stamped(serve: Serve, stamped: bool) -> None:
    async with serve(Service()) as served:
        await served.target.create(job(1), stamped=stamped)
        (body,) = served.bodies()
    stamp = {"key": STAMP, "value": job(1).token}
    assert (stamp in json.loads(body)["tags"]) is stamped


async def test_every_attempt_has_a_request_id_of_its_own(serve: Serve) -> None:
    async with serve(Service()) as served:
        replies = [await served.target.create(job(1), stamped=True) for _ in range(3)]
        replies.append(await served.target.probe())
    assert len({reply.opc_client_request_id for reply in replies} - {""}) == 4


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with every attempt, and the reply to it; `done` says that the run is made all the same."""

    reply: Reply
    options: SimulatorOptions = field(default_factory=SimulatorOptions)
    done: bool = False
    away: bool = False
    timeout: float = 30.0

    @property
    def service(self) -> Service:
        answer = Lost(self.reply) if self.done else self.reply
        return Service(
            lambda job, number: answer, options=self.options, away=self.away, timeout=self.timeout, probe=self.reply
        )


NOT_FOUND = Reply(status=404, code="NotAuthorizedOrNotFound")
RESET = Reply(fault=Fault.RESET)
REFUSED_KEY = Trouble(Reply(status=401, code="NotAuthenticated"), SimulatorOptions(bearer_token="another"))
UNAVAILABLE = Trouble(Reply(status=503, code="ServiceUnavailable"), SimulatorOptions(unavailable=True))
NOBODY_THERE = Trouble(Reply(fault=Fault.REFUSED), away=True)
TROUBLES = {
    "experiment missing": Trouble(NOT_FOUND, SimulatorOptions(missing_experiments=frozenset({"1"}))),
    "poison": Trouble(Reply(status=500, code="InternalServerError"), SimulatorOptions(poison=frozenset({"1"}))),
    "key refused": REFUSED_KEY,
    "unavailable": UNAVAILABLE,
    "nobody there": NOBODY_THERE,
    "500": Trouble(Reply(status=500, code="InternalServerError"), always(InjectedFault.ERROR_500)),
    "409": Trouble(Reply(status=409, code="IncorrectState"), always(InjectedFault.ERROR_409)),
    "proxy's page": Trouble(Reply(status=502), always(InjectedFault.HTML)),
    "reset before": Trouble(RESET, always(InjectedFault.RESET_BEFORE)),
    "reset after": Trouble(RESET, always(InjectedFault.RESET_AFTER), done=True),
    "truncated": Trouble(Reply(fault=Fault.GARBLED), always(InjectedFault.TRUNCATED), done=True),
    "proxy's 200": Trouble(Reply(status=200), always(InjectedFault.HTML_OK), done=True),
    "no answer": Trouble(Reply(fault=Fault.TIMEOUT), always(InjectedFault.HANG), done=True, timeout=0.2),
}


def told(reply: Reply) -> tuple[int | None, Fault | None, str | None, str | None]:
    """Return all of a reply that decides what it means."""
    return reply.status, reply.fault, reply.code, reply.run_id


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
async def test_what_goes_wrong_is_a_reply_that_means_the_same(serve: Serve, trouble: Trouble) -> None:
    async with serve(trouble.service) as served:
        reply = await served.target.create(job(1, experiment_id="1"), stamped=True)
        assert told(reply) == told(trouble.reply)
        assert classify(reply) == classify(trouble.reply)
        assert served.bodies().total() == trouble.done


@pytest.mark.parametrize("fault", [InjectedFault.RESET_AFTER, InjectedFault.TRUNCATED, InjectedFault.HTML_OK])
async def test_an_answer_that_was_lost_is_given_to_the_next_attempt(serve: Serve, fault: InjectedFault) -> None:
    lost = Service(lambda job, number: Lost(RESET) if number == 1 else None, options=sometimes(fault))
    async with serve(lost) as served:
        first = await served.target.create(job(1), stamped=True)
        second = await served.target.create(job(1), stamped=True)
        assert first.run_id is None
        assert second.run_id is not None
        assert served.bodies().total() == 1


async def test_an_attempt_too_many_is_told_when_to_come_back_and_makes_nothing(serve: Serve) -> None:
    busy = Reply(status=429, code="TooManyRequests", retry_after=1.0)
    limited = SimulatorOptions(rate=1.0, retry_after=RetryAfter.SECONDS)
    service = Service(lambda asked, number: busy if asked.key == "job-2" else None, options=limited)
    async with serve(service) as served:
        first = await served.target.create(job(1), stamped=True)
        second = await served.target.create(job(2), stamped=True)
        assert first.run_id is not None
        assert (told(second), second.retry_after) == (told(busy), 1.0)
        assert served.bodies().total() == 1


async def test_a_refused_record_costs_no_other(serve: Serve) -> None:
    def script(asked: Job, number: int) -> Reply | None:
        return NOT_FOUND if asked.experiment_id == "gone" else None

    service = Service(script, options=SimulatorOptions(missing_experiments=frozenset({"gone"})))
    async with serve(service) as served:
        asked = [job(n, experiment_id="gone" if n % 2 else "1") for n in range(20)]
        replies = await asyncio.gather(*(served.target.create(one, stamped=True) for one in asked))
        assert [reply.status for reply in replies] == [200, 404] * 10
        assert served.bodies().total() == 10


async def test_an_attempt_that_is_cancelled_may_have_made_its_run(serve: Serve) -> None:
    silent = Service(latency=60.0, options=always(InjectedFault.HANG), timeout=60.0)
    async with serve(silent) as served:
        attempt = asyncio.ensure_future(served.target.create(job(1), stamped=False))
        await until(lambda: served.bodies().total() == 1)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert served.bodies() == {job(1).body: 1}


async def test_a_probe_succeeds_and_creates_nothing(serve: Serve) -> None:
    async with serve(Service()) as served:
        assert told(await served.target.probe()) == (200, None, None, None)
        assert served.bodies().total() == 0


@pytest.mark.parametrize("trouble", [REFUSED_KEY, UNAVAILABLE, NOBODY_THERE], ids=["key", "unavailable", "nobody"])
async def test_a_probe_meets_what_is_wrong_for_every_attempt(serve: Serve, trouble: Trouble) -> None:
    async with serve(trouble.service) as served:
        assert told(await served.target.probe()) == told(trouble.reply)


async def test_a_target_without_credentials_has_none_to_renew(serve: Serve) -> None:
    async with serve(Service()) as served:
        assert await served.target.renew_credentials() is False


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop go on until the condition holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the service has no event for it
            await asyncio.sleep(0)


async def never_paced() -> None:
    """A look-up in one experiment, of a run that may be there once, takes one request."""
    raise AssertionError


async def test_a_run_is_found_by_its_stamp(serve: Serve) -> None:
    async with serve(Service()) as served:
        created = await served.target.create(job(1), stamped=True)
        finding = await served.target.find(job(1).token, job(1).experiment_id, never_paced)
    assert (finding.presence, finding.reply.run_id) == (Presence.FOUND, created.run_id)
    assert finding.reply.experiment_id == job(1).experiment_id
    assert finding.reply.opc_client_request_id not in {"", created.opc_client_request_id}


async def test_a_run_that_was_not_made_or_not_stamped_is_absent_and_asking_makes_none(serve: Serve) -> None:
    async with serve(Service()) as served:
        await served.target.create(job(2), stamped=False)
        for asked in (job(1), job(2)):
            finding = await served.target.find(asked.token, asked.experiment_id, never_paced)
            assert (finding.presence, finding.reply.status, finding.reply.run_id) == (Presence.ABSENT, 200, None)
        assert served.bodies().total() == 1


@pytest.mark.parametrize("trouble", [REFUSED_KEY, UNAVAILABLE, NOBODY_THERE], ids=["key", "unavailable", "nobody"])
async def test_a_look_up_that_is_refused_or_lost_decides_nothing(serve: Serve, trouble: Trouble) -> None:
    service = replace(trouble.service, lookup=lambda token, number: trouble.reply)
    async with serve(service) as served:
        finding = await served.target.find(job(1).token, job(1).experiment_id, never_paced)
    assert finding.presence is Presence.UNDECIDED
    told = (finding.reply.status, finding.reply.fault, finding.reply.code)
    assert told == (trouble.reply.status, trouble.reply.fault, trouble.reply.code)
