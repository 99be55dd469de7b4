"""The port `Service`: what the service in memory and the clients of a real service have in common.

The real service is the simulator. Each `Behaviour` makes both behave in the same way.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from ingestor.api.options import AuthOptions, TargetOptions, aidp
from ingestor.api.senders import SenderPool
from ingestor.api.service import HttpService
from ingestor.api.values import AuthKind
from ingestor.model.ports import Service
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Presence, Reply
from ingestor.model.request import Operation, Request, Step
from ingestor.policy.identity import STAMP, TOKEN_LIFE
from ingestor.policy.plan import create_request, step_request
from ingestor.policy.retry import ReplyKind, classify
from ingestor.simulator.memory_service import (
    Lost,
    MemoryService,
    Script,
    SearchScript,
    always_answer,
    always_find,
)
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, InjectedFault, RetryAfter, SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.api.conftest import Clock
from tests.support.records import job, jobs


@dataclass(frozen=True)
class Behaviour:
    """How a service behaves: in memory by `script`, `search` and `latency`, in the simulator by `options`.

    `is_away`: nothing listens at the simulator's address. `timeout` is the real client's.
    """

    script: Script = always_answer
    probe: Reply | None = None
    search: SearchScript = always_find
    options: SimulatorOptions = field(default_factory=SimulatorOptions)
    is_away: bool = False
    latency: float = 0.0
    timeout: float = 30.0


@dataclass(frozen=True)
class Served:
    """A service, the create bodies of its runs, and how many steps of each operation it carried out."""

    service: Service
    bodies: Callable[[], Counter[bytes]]
    steps: Callable[[], Counter[str]]


Serve = Callable[[Behaviour], AbstractAsyncContextManager[Served]]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "http", "senders"])
def serve(request: pytest.FixtureRequest, clock: Clock) -> Serve:
    @asynccontextmanager
    async def in_memory(behaviour: Behaviour) -> AsyncIterator[Served]:
        service = MemoryService(
            behaviour.script,
            search=behaviour.search,
            latency=behaviour.latency,
            probe=behaviour.probe,
            now=clock,
            experiments=behaviour.options.experiments,
        )
        yield Served(
            service,
            lambda: Counter(run.body for run in service.runs),
            lambda: Counter(step.operation.value for run in service.runs for step in run.steps),
        )

    @asynccontextmanager
    async def over_http(behaviour: Behaviour) -> AsyncIterator[Served]:
        async with AsyncExitStack() as running:
            simulator = await running.enter_async_context(Simulator(behaviour.options, now=clock))
            if behaviour.is_away:
                await running.aclose()
            endpoint = aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY)
            anonymous = AuthOptions(kind=AuthKind.NONE)
            options = TargetOptions(endpoint=endpoint, auth=anonymous, connections=64, timeout=behaviour.timeout)
            statistics = simulator.statistics
            async with HttpService(options) if request.param == "http" else SenderPool(options, 1) as service:
                yield Served(
                    service,
                    lambda: Counter(run.body for run in statistics._store.runs),
                    lambda: Counter({name: done for name, done in statistics.done.items() if name != "runs/create"}),
                )

    return in_memory if request.param == "memory" else over_http


def create(job: Job, *, stamped: bool = True) -> Request:
    return create_request(job, stamped=stamped)


def sometimes(fault: InjectedFault) -> SimulatorOptions:
    """Spoil the first request and not the second: this seed does so."""
    return SimulatorOptions(faults={fault: 0.5}, seed=1)


def always(fault: InjectedFault) -> SimulatorOptions:
    return SimulatorOptions(faults={fault: 1.0})


async def test_a_created_run_is_named_with_its_experiment(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        reply = await served.service.send(create(job(1, experiment_id="7"), stamped=False))
        assert (reply.status, reply.fault, reply.code, reply.experiment_id) == (200, None, None, "7")
        assert reply.run_id
        assert served.bodies() == {job(1, experiment_id="7").body: 1}


async def test_the_same_token_returns_the_same_run(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        run_ids = {(await served.service.send(create(job(1)))).run_id for _ in range(3)}
        assert len(run_ids) == served.bodies().total() == 1


async def test_another_token_creates_another_run(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        replies = await asyncio.gather(*(served.service.send(create(one)) for one in jobs(50)))
        assert len({reply.run_id for reply in replies}) == served.bodies().total() == 50


@pytest.mark.parametrize(("age", "runs"), [(TOKEN_LIFE - 1, 1), (TOKEN_LIFE, 2)])
async def test_a_token_protects_for_a_day_and_no_longer(serve: Serve, clock: Clock, age: float, runs: int) -> None:
    async with serve(Behaviour()) as served:
        first = await served.service.send(create(job(1)))
        clock.time += age
        second = await served.service.send(create(job(1)))
        assert len({first.run_id, second.run_id}) == served.bodies().total() == runs


async def test_a_token_with_another_body_is_refused(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        await served.service.send(create(job(1)))
        reply = await served.service.send(create(job(1), stamped=False))
        assert meaning(reply) == (409, None, "InvalidatedRetryToken", None)
        assert served.bodies().total() == 1


@pytest.mark.parametrize("stamped", [True, False])
async def test_a_stamped_run_has_its_token_as_a_tag(serve: Serve, stamped: bool) -> None:
    async with serve(Behaviour()) as served:
        await served.service.send(create(job(1), stamped=stamped))
        (body,) = served.bodies()
    stamp = {"key": STAMP, "value": job(1).token}
    assert (stamp in json.loads(body)["tags"]) is stamped


async def test_every_attempt_has_a_request_id_of_its_own(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        replies = [await served.service.send(create(job(1))) for _ in range(3)]
        replies.append(await served.service.probe())
    assert len({reply.opc_client_request_id for reply in replies} - {""}) == 4


@dataclass(frozen=True)
class Trouble:
    """What goes wrong with every attempt, and the reply to it; `done`: the run is created all the same."""

    reply: Reply
    options: SimulatorOptions = field(default_factory=SimulatorOptions)
    done: bool = False
    is_away: bool = False
    timeout: float = 30.0

    @property
    def behaviour(self) -> Behaviour:
        answer = Lost(self.reply) if self.done else self.reply
        return Behaviour(
            lambda request, number: answer,
            search=lambda token, number: self.reply,
            options=self.options,
            is_away=self.is_away,
            timeout=self.timeout,
            probe=self.reply,
        )


NOT_FOUND = Reply(status=404, code="NotAuthorizedOrNotFound")
RESET = Reply(fault=Fault.RESET)
REFUSED_KEY = Trouble(Reply(status=401, code="NotAuthenticated"), SimulatorOptions(bearer_token="another"))
UNAVAILABLE = Trouble(Reply(status=503, code="ServiceUnavailable"), SimulatorOptions(unavailable=True))
UNREACHABLE = Trouble(Reply(fault=Fault.REFUSED), is_away=True)
TROUBLES = {
    "experiment missing": Trouble(NOT_FOUND, SimulatorOptions(missing_experiments=frozenset({"1"}))),
    "poison": Trouble(Reply(status=500, code="InternalServerError"), SimulatorOptions(poison=frozenset({"1"}))),
    "key refused": REFUSED_KEY,
    "unavailable": UNAVAILABLE,
    "unreachable": UNREACHABLE,
    "500": Trouble(Reply(status=500, code="InternalServerError"), always(InjectedFault.ERROR_500)),
    "429": Trouble(Reply(status=429, code="TooManyRequests"), always(InjectedFault.ERROR_429)),
    "malformed": Trouble(Reply(fault=Fault.MALFORMED), always(InjectedFault.MALFORMED), done=True),
    "409": Trouble(Reply(status=409, code="IncorrectState"), always(InjectedFault.ERROR_409)),
    "proxy's page": Trouble(Reply(status=502), always(InjectedFault.HTML)),
    "reset before": Trouble(RESET, always(InjectedFault.RESET_BEFORE)),
    "reset after": Trouble(RESET, always(InjectedFault.RESET_AFTER), done=True),
    "truncated": Trouble(Reply(fault=Fault.GARBLED), always(InjectedFault.TRUNCATED), done=True),
    "proxy's 200": Trouble(Reply(status=200), always(InjectedFault.HTML_OK), done=True),
    "no answer": Trouble(Reply(fault=Fault.TIMEOUT), always(InjectedFault.HANG), done=True, timeout=0.2),
}


def meaning(reply: Reply) -> tuple[int | None, Fault | None, str | None, str | None]:
    """Return the fields of a reply that decide what it means."""
    return reply.status, reply.fault, reply.code, reply.run_id


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES.keys())
async def test_a_failed_attempt_gets_a_reply_with_the_same_meaning(serve: Serve, trouble: Trouble) -> None:
    async with serve(trouble.behaviour) as served:
        request = create(job(1, experiment_id="1"))
        reply = await served.service.send(request)
        assert meaning(reply) == meaning(trouble.reply)
        assert classify(reply, request) == classify(trouble.reply, request)
        assert served.bodies().total() == trouble.done


@pytest.mark.parametrize("fault", [InjectedFault.RESET_AFTER, InjectedFault.TRUNCATED, InjectedFault.HTML_OK])
async def test_the_next_attempt_gets_an_answer_that_was_lost(serve: Serve, fault: InjectedFault) -> None:
    lost = Behaviour(lambda request, number: Lost(RESET) if number == 1 else None, options=sometimes(fault))
    async with serve(lost) as served:
        first = await served.service.send(create(job(1)))
        second = await served.service.send(create(job(1)))
        assert first.run_id is None
        assert second.run_id is not None
        assert served.bodies().total() == 1


async def test_an_attempt_over_the_limit_creates_nothing_and_learns_when_to_return(serve: Serve) -> None:
    busy = Reply(status=429, code="TooManyRequests", retry_after=1.0)
    limited = SimulatorOptions(rate=1.0, retry_after=RetryAfter.SECONDS)
    behaviour = Behaviour(lambda request, number: busy if request.token == job(2).token else None, options=limited)
    async with serve(behaviour) as served:
        first = await served.service.send(create(job(1)))
        second = await served.service.send(create(job(2)))
        assert first.run_id is not None
        assert (meaning(second), second.retry_after) == (meaning(busy), 1.0)
        assert served.bodies().total() == 1


async def test_a_refused_record_does_not_affect_others(serve: Serve) -> None:
    def script(request: Request, number: int) -> Reply | None:
        return NOT_FOUND if json.loads(request.body)["experiment_id"] == "gone" else None

    behaviour = Behaviour(script, options=SimulatorOptions(missing_experiments=frozenset({"gone"})))
    async with serve(behaviour) as served:
        sent = [job(n, experiment_id="gone" if n % 2 else "1") for n in range(20)]
        replies = await asyncio.gather(*(served.service.send(create(one)) for one in sent))
        assert [reply.status for reply in replies] == [200, 404] * 10
        assert served.bodies().total() == 10


async def test_a_cancelled_attempt_may_have_created_its_run(serve: Serve) -> None:
    silent = Behaviour(latency=60.0, options=always(InjectedFault.HANG), timeout=60.0)
    async with serve(silent) as served:
        attempt = asyncio.ensure_future(served.service.send(create(job(1), stamped=False)))
        await until(lambda: served.bodies().total() == 1)
        attempt.cancel()
        with pytest.raises(asyncio.CancelledError):
            await attempt
        assert served.bodies() == {job(1).body: 1}


async def test_a_probe_succeeds_and_creates_nothing(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        assert meaning(await served.service.probe()) == (200, None, None, None)
        assert served.bodies().total() == 0


@pytest.mark.parametrize("trouble", [REFUSED_KEY, UNAVAILABLE, UNREACHABLE], ids=["key", "unavailable", "unreachable"])
async def test_a_probe_meets_the_fault_of_every_attempt(serve: Serve, trouble: Trouble) -> None:
    async with serve(trouble.behaviour) as served:
        assert meaning(await served.service.probe()) == meaning(trouble.reply)


async def test_the_experiments_that_take_runs_are_listed(serve: Serve) -> None:
    async with serve(Behaviour(options=SimulatorOptions(experiments=frozenset({"1", "7"})))) as served:
        listed = await served.service.active_experiments(never_paced)
        assert listed is not None
        assert sorted(listed) == ["1", "7"]


@pytest.mark.parametrize("trouble", [REFUSED_KEY, UNAVAILABLE, UNREACHABLE], ids=["key", "unavailable", "unreachable"])
async def test_a_list_of_experiments_that_can_not_be_read_is_none(serve: Serve, trouble: Trouble) -> None:
    async with serve(trouble.behaviour) as served:
        assert await served.service.active_experiments(never_paced) is None


async def test_a_service_without_credentials_has_none_to_renew(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        assert await served.service.renew_credentials() is False


async def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until the condition holds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the service has no event for it
            await asyncio.sleep(0)


async def never_paced() -> None:
    """A look-up in one experiment takes one request, which is not paced."""
    raise AssertionError


async def test_a_run_is_found_by_its_stamp(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        created = await served.service.send(create(job(1)))
        finding = await served.service.find(job(1).token, job(1).experiment_id, never_paced)
    assert (finding.presence, finding.reply.run_id) == (Presence.FOUND, created.run_id)
    assert finding.reply.experiment_id == job(1).experiment_id
    assert finding.reply.opc_client_request_id not in {"", created.opc_client_request_id}


async def test_a_run_that_was_not_created_or_not_stamped_is_absent_and_a_look_up_creates_none(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        await served.service.send(create(job(2), stamped=False))
        for one in (job(1), job(2)):
            finding = await served.service.find(one.token, one.experiment_id, never_paced)
            assert (finding.presence, finding.reply.status, finding.reply.run_id) == (Presence.ABSENT, 200, None)
        assert served.bodies().total() == 1


@pytest.mark.parametrize("trouble", [REFUSED_KEY, UNAVAILABLE, UNREACHABLE], ids=["key", "unavailable", "unreachable"])
async def test_a_look_up_that_is_refused_or_lost_proves_nothing(serve: Serve, trouble: Trouble) -> None:
    async with serve(trouble.behaviour) as served:
        finding = await served.service.find(job(1).token, job(1).experiment_id, never_paced)
    assert finding.presence is Presence.UNDECIDED
    assert meaning(finding.reply) == meaning(trouble.reply)


STEPS = (
    Step(Operation.LOG_BATCH, b'"metrics":[{"key":"loss","value":0.5,"timestamp":1,"step":0}]'),
    Step(
        Operation.LOG_INPUTS,
        b'"dataset_inputs":[{"dataset":{"name":"d","digest":"1","source_type":"s","source":"s"}}]',
    ),
    Step(Operation.UPDATE_RUN, b'"status":"FINISHED","end_time":2'),
    Step(Operation.DELETE_RUN),
)
PLAN = replace(job(1), steps=STEPS)
EACH_ONCE = Counter({step.operation.value: 1 for step in STEPS})


def step(index: int, run_id: str | None) -> Request:
    assert run_id is not None
    return step_request(PLAN, index, run_id)


async def test_the_steps_of_a_plan_are_carried_out_and_name_no_run(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        run_id = (await served.service.send(create(PLAN))).run_id
        for index in range(len(STEPS)):
            reply = await served.service.send(step(index, run_id))
            assert meaning(reply) == (200, None, None, None)
            assert classify(reply, step(index, run_id)).kind is ReplyKind.SUCCEEDED
        assert served.steps() == EACH_ONCE


async def test_a_repeated_step_is_carried_out_once(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        run_id = (await served.service.send(create(PLAN))).run_id
        for index in range(len(STEPS)):
            for _ in range(3):
                assert (await served.service.send(step(index, run_id))).status == 200
        assert served.steps() == EACH_ONCE


async def test_a_token_of_a_step_with_another_body_is_refused(serve: Serve) -> None:
    async with serve(Behaviour()) as served:
        run_id = (await served.service.send(create(PLAN))).run_id
        first = step(0, run_id)
        await served.service.send(first)
        other = replace(first, body=first.body.replace(b"0.5", b"0.75"))
        assert meaning(await served.service.send(other)) == (409, None, "InvalidatedRetryToken", None)
        assert served.steps() == {"runs/log-batch": 1}


@pytest.mark.parametrize("index", range(len(STEPS)))
async def test_a_step_of_an_unknown_run_is_refused(serve: Serve, index: int) -> None:
    async with serve(Behaviour()) as served:
        assert meaning(await served.service.send(step(index, "0" * 32))) == meaning(NOT_FOUND)
        assert not served.steps().total()


@pytest.mark.parametrize("index", range(len(STEPS) - 1))
async def test_a_deleted_run_takes_no_further_step(serve: Serve, index: int) -> None:
    async with serve(Behaviour()) as served:
        run_id = (await served.service.send(create(PLAN))).run_id
        await served.service.send(step(3, run_id))
        assert meaning(await served.service.send(step(index, run_id))) == (400, None, "InvalidParameter", None)
        assert served.steps() == {"runs/delete": 1}


@pytest.mark.parametrize("fault", [InjectedFault.RESET_AFTER, InjectedFault.TRUNCATED, InjectedFault.HTML_OK])
async def test_a_step_whose_answer_is_lost_is_repeated_and_is_carried_out_once(
    serve: Serve, fault: InjectedFault
) -> None:
    garbled = Reply(fault=Fault.GARBLED)

    def script(request: Request, number: int) -> Lost | None:
        return Lost(garbled) if request.is_repeatable and number == 1 else None

    second_of_three = SimulatorOptions(faults={fault: 0.5}, seed=10)  # this seed spoils the second request only
    async with serve(Behaviour(script, options=second_of_three)) as served:
        run_id = (await served.service.send(create(PLAN))).run_id
        lost = await served.service.send(step(0, run_id))
        assert lost.fault in {Fault.GARBLED, Fault.RESET}
        assert classify(lost, step(0, run_id)).kind is ReplyKind.TRANSIENT
        assert (await served.service.send(step(0, run_id))).status == 200
        assert served.steps() == {"runs/log-batch": 1}
