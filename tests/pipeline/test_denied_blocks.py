"""Blocks of denied records, in any number and order, where a vague service has runs already; in virtual time."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import pytest

from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Request
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.reconciliation import Reconciliation
from ingestor.simulator.memory_service import Lost, MemoryService
from tests.pipeline.world import World
from tests.support.records import jobs
from tests.support.virtual import run_virtual

GRANTED = Reply(status=200)
VAGUE = Reply(status=404, code="NotAuthorizedOrNotFound", message="Authorization failed or resource not found")
NO_SUCH_ROUTE = Reply(status=404, message="404 page not found")
BUSY = Reply(status=503, message="busy")
SILENT = Reply(fault=Fault.TIMEOUT, message="no whole answer came in time")
WITHDRAWN = Reply(status=409, code="InvalidatedRetryToken")


@dataclass
class Chances:
    """How long requests and probes take, and what the probes get: one after the other, the last one again and again."""

    random: Random
    latency: float
    probe_latency: float
    probes: list[Reply] = field(default_factory=lambda: [GRANTED])


def give_chances(service: MemoryService, chances: Chances) -> None:
    """Let the requests of a service overtake each other, and script its probes."""
    send = service.send

    async def send_late(request: Request) -> Reply:
        await asyncio.sleep(chances.random.uniform(0.0, chances.latency))
        return await send(request)

    async def probe() -> Reply:
        service.probes += 1
        await asyncio.sleep(chances.random.uniform(0.5, 1.0) * chances.probe_latency)
        return chances.probes.pop(0) if len(chances.probes) > 1 else chances.probes[0]

    service.send = send_late  # type: ignore[method-assign]
    service.probe = probe  # type: ignore[method-assign]


def blocks(random: Random, total: int) -> set[str]:
    """Draw which records are denied: single ones and long blocks, anywhere, also first and last."""
    denied: set[str] = set()
    position = random.choice([0, 1, 50])
    while position < total:
        length = random.choice([1, 4, 30, 200])
        denied |= {f"job-{number}" for number in range(position + 1, min(position + length, total) + 1)}
        position += length + random.choice([1, 3, 40, 300])
    return denied


@pytest.mark.parametrize("concurrency", [1, 64, 256])
@pytest.mark.parametrize("has_runs", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_where_runs_exist_and_probes_are_granted_no_denied_record_halts_and_each_one_is_failed(
    seed: int, has_runs: bool, concurrency: int
) -> None:
    random, total = Random(f"{seed} {has_runs} {concurrency}"), 100 if concurrency == 1 else 700
    denied = blocks(random, total)
    if not has_runs:
        denied -= {f"job-{number}" for number in range(1, 51)}
    world = World(lambda job, number: VAGUE if job.key in denied else None, concurrency=concurrency)
    world.target_is_proven = has_runs
    answers = random.choice([[GRANTED], [BUSY, SILENT, GRANTED], [SILENT, BUSY, Reply(status=429), GRANTED]])
    chances = Chances(random, random.choice([0.0, 0.04, 0.6]), random.choice([0.01, 0.6, 5.0]), answers)
    give_chances(world.service, chances)
    result = run_virtual(world.ingest(jobs(total)))
    assert result.halt is None
    assert world.outcomes == {"created": total - len(denied), "failed": len(denied)}


def test_a_night_that_begins_with_four_hundred_records_that_failed_before_does_not_halt() -> None:
    world = World(lambda job, number: VAGUE if int(job.key[4:]) <= 407 else None, concurrency=64, target_is_proven=True)
    give_chances(world.service, Chances(Random(1), 0.04, 2.0))
    result = run_virtual(world.ingest(jobs(600)))
    assert (result.halt, world.outcomes) == (None, {"created": 193, "failed": 407})
    assert world.service.probes <= 8, "each granted probe doubles the number of denials that needs the next one"
    assert len(world.attempts) <= 2000


@pytest.mark.parametrize("concurrency", [1, 64, 256])
@pytest.mark.parametrize("answers", [[VAGUE], [NO_SUCH_ROUTE], [BUSY, SILENT, VAGUE]])
@pytest.mark.parametrize("has_runs", [True, False])
@pytest.mark.parametrize("seed", range(2))
def test_where_runs_exist_and_the_probe_is_denied_the_batch_halts_and_fails_next_to_nothing(
    seed: int, has_runs: bool, answers: list[Reply], concurrency: int
) -> None:
    random = Random(f"{seed} {has_runs} {answers} {concurrency}")
    lost_at = 0 if has_runs else 50
    world = World(lambda job, number: None if int(job.key[4:]) <= lost_at else VAGUE, concurrency=concurrency)
    world.target_is_proven = has_runs
    chances = Chances(random, random.choice([0.0, 0.04, 0.6]), random.choice([0.01, 0.6, 5.0]), list(answers))
    give_chances(world.service, chances)
    result = run_virtual(world.ingest(jobs(2000)))
    assert result.halt is not None
    assert "Every record" not in result.halt.reason
    # a run that is created late proves that the rights are there; one record that is denied five times is failed
    assert world.outcomes["failed"] < (60 if lost_at else 5)
    assert world.outcomes["created"] == lost_at


def test_a_batch_whose_probes_stay_unclear_is_given_up_in_time_and_fails_no_record() -> None:
    world = World(lambda job, number: VAGUE, target_is_proven=True, give_up_after=60.0, concurrency=64)
    give_chances(world.service, Chances(Random(1), 0.04, 0.1, [BUSY]))
    result = run_virtual(world.ingest(jobs(100)))
    assert (result.halt, result.stopped, world.outcomes) == (None, True, {})
    assert world.service.probes <= 62


def test_good_records_behind_denied_ones_are_created_while_the_probe_stays_unclear() -> None:
    world = World(lambda job, number: VAGUE if int(job.key[4:]) <= 3 else None, target_is_proven=True)
    give_chances(world.service, Chances(Random(1), 0.04, 30.0, [SILENT]))
    result = run_virtual(world.ingest(jobs(100)))
    assert (result.halt, world.outcomes) == (None, {"created": 97, "failed": 3})


def test_on_a_new_target_the_records_of_many_missing_experiments_wait_for_a_slow_probe() -> None:
    """The list of experiments decides then; no run was created before."""
    world = World(lambda job, number: VAGUE if int(job.key[4:]) <= 100 else None, experiments=["7"])
    give_chances(world.service, Chances(Random(1), 0.04, 5.0))
    result = run_virtual(world.ingest(jobs(300)))
    assert (result.halt, world.outcomes) == (None, {"created": 200, "failed": 100})


def reconcile(world: World, records: list[Job], after: Callable[[], None] = lambda: None) -> bool:
    """Leave every record of a batch unresolved, then look its runs up a day later; return whether that halts."""

    async def story() -> bool:
        await world.ingest(records)
        await asyncio.sleep(25 * 3600.0)
        after()
        world.next_process()
        world.sink.events.clear()
        pacer = Pacer(None, world.sink)
        work = Reconciliation(world.options(), world.journal, world.service, pacer, world.sink, world.clock)
        return (await work.run()).halt is not None

    return run_virtual(story())


@pytest.mark.parametrize("concurrency", [1, 8, 256])
@pytest.mark.parametrize("probe", [GRANTED, VAGUE])
def test_look_ups_that_are_denied_halt_a_reconciliation_only_where_a_probe_is_denied_too(
    probe: Reply, concurrency: int
) -> None:
    """The search for a run in a missing experiment is denied. No run was ever created, as far as is known."""
    world = World(lambda job, number: Lost(WITHDRAWN), concurrency=concurrency, search=lambda token, number: VAGUE)
    give_chances(world.service, Chances(Random(1), 0.0, 3.0))
    is_halted = reconcile(world, jobs(60), lambda: give_chances(world.service, Chances(Random(1), 0.0, 3.0, [probe])))
    assert is_halted == (probe is VAGUE)
    assert world.outcomes == ({} if is_halted else {"unresolved": 60})
