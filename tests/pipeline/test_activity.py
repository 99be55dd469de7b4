"""What the work does at one moment, and why it is not faster, in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from math import inf

import pytest

from ingestor.model.activity import Activity, Bound, Health
from ingestor.model.reply import Fault, Reply
from ingestor.pipeline.options import PipelineResult
from ingestor.pipeline.pacer import PAUSE_REASON
from ingestor.pipeline.pipeline import Pipeline
from ingestor.pipeline.waits import Wait, Waits
from ingestor.report.metrics import Metrics
from tests.pipeline.test_outage import Downtime
from tests.pipeline.world import World
from tests.support.memory import MemoryInput
from tests.support.records import job, jobs
from tests.support.virtual import loop_time, run_virtual


def seen_at(seconds: float, world: World, source: Callable[[], MemoryInput]) -> Activity:
    """Return what a batch does at this time. Then it is stopped."""
    seen: list[Activity] = []

    async def look(pipeline: Pipeline) -> None:
        for _ in range(10):
            await asyncio.sleep(seconds / 10)
            activity = pipeline.activity()
        seen.append(activity)
        pipeline.stop("enough")

    async def ingest() -> PipelineResult:
        records = source()
        world.jobs |= {it.key: it for it in jobs(5000)}
        return await world.take(records, drain_timeout=0.0, meanwhile=look)

    run_virtual(ingest())
    return seen[0]


def many() -> MemoryInput:
    return MemoryInput(jobs(5000))


def test_a_ceiling_limits_a_fast_service() -> None:
    activity = seen_at(20, World(rate=20.0), many)
    assert (activity.bound, activity.health, activity.hold) == (Bound.RATE, Health.UP, None)
    assert activity.allowed_rate == pytest.approx(20, rel=0.1)
    assert activity.is_reading
    assert activity.left >= activity.backlog > 0


def test_refusals_show_that_the_service_limits() -> None:
    bucket = {"at": 0.0}

    def limited(*_: object) -> Reply | None:
        if loop_time() < bucket["at"]:
            return Reply(status=429, code="TooManyRequests")
        bucket["at"] = loop_time() + 0.05
        return None

    activity = seen_at(60, World(script=limited, concurrency=64), many)
    assert activity.bound is Bound.SERVICE
    assert activity.allowed_rate == pytest.approx(20, rel=0.35)


def test_without_a_refusal_the_rate_grows() -> None:
    assert seen_at(0.2, World(concurrency=256, latency=0.001), many).bound is Bound.GROWTH


def test_slow_answers_make_the_slots_the_limit() -> None:
    activity = seen_at(100, World(concurrency=4, latency=2.0), many)
    assert (activity.bound, activity.slots, activity.in_flight) == (Bound.SLOTS, 4, 4)


def test_a_followed_source_without_a_new_record_is_waited_for() -> None:
    activity = seen_at(30, World(), lambda: MemoryInput(jobs(20), open_end=True))
    assert (activity.bound, activity.left, activity.in_flight, activity.backlog) == (Bound.INPUT, 0, 0, 0)
    assert activity.is_reading
    assert activity.oldest_in_flight is None


def test_an_outage_is_told_with_its_reason_its_beginning_and_its_next_probe() -> None:
    def down_from_the_5th_second(*_: object) -> Reply | None:
        return Reply(fault=Fault.REFUSED, message="connection refused") if loop_time() >= 5 else None

    world = World(script=down_from_the_5th_second, rate=20.0, probe=Reply(fault=Fault.REFUSED, message="refused"))
    activity = seen_at(65, world, many)
    assert (activity.bound, activity.health) == (Bound.OUTAGE, Health.DOWN)
    assert activity.hold is not None
    assert activity.hold.seconds == pytest.approx(60, abs=2)
    assert 0 <= activity.hold.left <= 60
    assert not activity.hold.gives_up
    assert "refused" in activity.hold.reason
    assert activity.oldest_in_flight == pytest.approx(world.clock.start, abs=6)


def test_a_closed_service_is_told_as_such() -> None:
    def closed(*_: object) -> Reply | None:
        return Reply(status=429, code="TooManyRequests", retry_after=300.0) if loop_time() >= 5 else None

    activity = seen_at(9, World(script=closed, rate=20.0), many)
    assert activity.hold is not None
    assert activity.hold.reason == PAUSE_REASON
    assert activity.hold.left > 100


def test_a_service_that_refuses_every_request_is_told_with_the_end_of_the_patience() -> None:
    def closed(*_: object) -> Reply | None:
        return Reply(status=429, code="TooManyRequests") if loop_time() >= 5 else None

    activity = seen_at(100, World(script=closed, rate=20.0, give_up_after=3600.0), many)
    assert activity.hold is not None
    assert activity.hold.gives_up
    assert activity.hold.left == pytest.approx(3505, abs=10)


def test_finish_reads_what_exists_and_ends_without_a_stop() -> None:
    world = World(rate=20.0)

    async def finish(pipeline: Pipeline) -> None:
        await asyncio.sleep(1)
        pipeline.finish()
        pipeline.finish()

    result = run_virtual(world.ingest(jobs(100), open_end=True, meanwhile=finish))
    assert (result.stopped, result.exhausted, result.left, result.reason) == (False, True, 0, None)
    assert world.outcomes == {"created": 100}


def test_a_stop_after_finish_gives_what_is_in_flight_its_own_time() -> None:
    world = World(latency=100.0, concurrency=4)
    ended: list[float] = []

    async def finish(pipeline: Pipeline) -> None:
        await asyncio.sleep(1)
        pipeline.finish()
        await asyncio.sleep(1)
        pipeline.stop("the time is over", drain=3.0)

    async def ingest() -> PipelineResult:
        result = await world.ingest(jobs(8), open_end=True, meanwhile=finish)
        ended.append(loop_time())
        return result

    result = run_virtual(ingest())
    assert (result.stopped, result.left, result.reason) == (True, 8, "the time is over")
    assert ended[0] == pytest.approx(5, abs=0.5)


def seen_of(waits: Waits, *nexts: Wait | None) -> Coroutine[None, None, Wait | None]:
    """Sample a task once a second that waits for these."""

    async def work() -> Wait | None:
        for waits.next in nexts:
            waits.sample()
            waits.sample()
            await asyncio.sleep(1)
        return waits.longest

    return work()


def test_samples_of_the_last_seconds_count_and_older_ones_do_not() -> None:
    async def work() -> list[Wait | None]:
        waits = Waits(processor=lambda: 0.0)
        return [
            waits.longest,
            await seen_of(waits, *[Wait.INPUT] * 600),
            await seen_of(waits, *[Wait.PACER] * 4),
            await seen_of(waits, *[Wait.PACER] * 3),
        ]

    assert run_virtual(work()) == [None, Wait.INPUT, Wait.INPUT, Wait.PACER]


def test_a_task_whose_waits_differ_has_no_reason() -> None:
    async def work() -> Wait | None:
        waits = Waits(processor=lambda: 0.0)
        return await seen_of(waits, *[Wait.PACER, Wait.SLOT, Wait.BACKLOG, None] * 5)

    assert run_virtual(work()) is None


def test_a_process_that_uses_its_core_is_busy() -> None:
    async def work(share: float) -> bool:
        waits = Waits(processor=lambda: share * loop_time())
        await seen_of(waits, *[Wait.SLOT] * 5)
        return waits.is_busy

    assert run_virtual(work(0.97))
    assert not run_virtual(work(0.5))


HOUR = 3600.0


@pytest.mark.parametrize(
    ("down", "seconds"),
    [
        (Reply(fault=Fault.REFUSED, message="connection refused"), 48 * HOUR),
        (Reply(status=429, code="TooManyRequests"), 2 * HOUR),
    ],
)
def test_a_followed_batch_never_gives_a_service_up(down: Reply, seconds: float) -> None:
    world = World(rate=20.0, give_up_after=inf, wait_for_service=True)
    world.service = Downtime(down, 5.0, seconds)
    seen: list[Activity] = []

    async def look(pipeline: Pipeline) -> None:
        await asyncio.sleep(seconds - 1)
        seen.append(pipeline.activity())
        await asyncio.sleep(HOUR)
        pipeline.finish()

    result = run_virtual(world.ingest(jobs(300), open_end=True, meanwhile=look))
    assert (result.stopped, result.left) == (False, 0)
    assert world.outcomes == {"created": 300}
    [activity] = seen
    assert activity.hold is not None
    assert activity.hold.seconds == pytest.approx(seconds, abs=60)


@pytest.mark.parametrize("ending", ["finish", "stop"])
def test_at_each_moment_as_many_records_are_left_as_were_read_without_an_outcome(ending: str) -> None:
    world, seen = World(rate=100.0, concurrency=4), list[tuple[int, int]]()
    records = [*jobs(40), job(9, key="job-8"), *jobs(3000)]  # some are conflicts, and some duplicates

    def look(pipeline: Pipeline) -> None:
        metrics = Metrics(loop_time)
        for event in world.sink.events:
            metrics.emit(event)
        seen.append((pipeline.left, metrics.records - metrics.done))

    async def watch(pipeline: Pipeline) -> None:
        for _ in range(100):
            await asyncio.sleep(0.0073)
            look(pipeline)
        (pipeline.finish if ending == "finish" else pipeline.stop)()
        for _ in range(100):
            await asyncio.sleep(0.0073)
            look(pipeline)
        await asyncio.sleep(5)
        look(pipeline)

    run_virtual(world.ingest(records, open_end=True, meanwhile=watch))
    assert [left for left, _ in seen] == [left for _, left in seen]
    assert max(left for left, _ in seen) > 900, "the test needs records that wait for room"
