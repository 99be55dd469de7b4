"""The watch over the event loop of a batch, from the thread of a server."""

import asyncio
import threading
import time

import pytest

from ingestor.server.loop_watch import LoopStuckError, LoopWatch
from ingestor.system.tasks import in_background

INTERVAL = 0.02


async def until_stuck(watch: LoopWatch, *, is_stuck: bool) -> None:
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        looking = group.create_task(watch.look())
        while True:
            await asyncio.sleep(INTERVAL)
            if watch.is_stuck is is_stuck:
                break
        looking.cancel()


async def test_a_blocked_loop_counts_as_stuck_and_one_that_continues_does_not() -> None:
    watch = LoopWatch(INTERVAL)
    async with in_background(watch.pulse(lambda: None)):
        await asyncio.sleep(INTERVAL)
        thread = threading.Thread(target=lambda: asyncio.run(until_stuck(watch, is_stuck=True)))
        thread.start()
        thread.join()  # blocks this loop until the thread has seen it
        assert watch.is_stuck
        assert watch.stuck_for >= 10 * INTERVAL
        await asyncio.to_thread(asyncio.run, until_stuck(watch, is_stuck=False))
        assert watch.stuck_for == 0.0


async def test_a_process_that_was_stopped_as_a_whole_does_not_count_as_stuck() -> None:
    watch = LoopWatch(INTERVAL)
    async with in_background(watch.pulse(lambda: None)), in_background(watch.look()):
        await asyncio.sleep(INTERVAL)
        time.sleep(20 * INTERVAL)  # noqa: ASYNC251 - both loops stand still, as after SIGSTOP
        await asyncio.sleep(2 * INTERVAL)
        assert not watch.is_stuck


async def test_a_question_is_answered_in_the_loop_and_its_error_reaches_the_one_who_asks() -> None:
    watch = LoopWatch(INTERVAL)
    here = threading.get_ident()
    assert await asyncio.to_thread(asyncio.run, watch.ask(threading.get_ident)) == here

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await asyncio.to_thread(asyncio.run, watch.ask(fail))


async def test_a_loop_that_does_not_answer_in_time_or_is_closed_is_stuck() -> None:
    watch = LoopWatch(INTERVAL, longest_answer=INTERVAL)

    def ask() -> None:
        with pytest.raises(LoopStuckError):
            asyncio.run(watch.ask(lambda: None))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()

    async def make() -> LoopWatch:
        return LoopWatch()

    closed = await asyncio.to_thread(asyncio.run, make())
    with pytest.raises(LoopStuckError):
        await closed.ask(lambda: None)
