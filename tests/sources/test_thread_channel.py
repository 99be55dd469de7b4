import asyncio
import threading
from collections.abc import Sequence

import pytest

from ingestor.model.record import Job, Origin, Reject
from ingestor.sources.thread_channel import MOST_BYTES, MOST_RECORDS, ThreadChannel


def record(number: int) -> Reject:
    return Reject(Origin("-", number), "", "")


class Watched(ThreadChannel):
    """Says when it first had no room."""

    def __init__(self) -> None:
        super().__init__()
        self.was_full = threading.Event()

    def _has_room(self, count: int, size: int) -> bool:
        if not (has_room := super()._has_room(count, size)):
            self.was_full.set()
        return has_room


class Producer:
    """A thread that puts records as fast as it can; `refused` is which one nobody took."""

    def __init__(self, channel: ThreadChannel, count: int, size: int = 1) -> None:
        self._handover = channel
        self._count = count
        self._size = size
        self.refused = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for number in range(1, self._count + 1):
            if not self._handover.put([record(number)], self._size):
                self.refused = number
                return
        self._handover.end()

    async def ended(self) -> None:
        await asyncio.to_thread(self._thread.join, 10)
        assert not self._thread.is_alive()


async def take_all(channel: ThreadChannel) -> list[Sequence[Job | Reject]]:
    batches: list[Sequence[Job | Reject]] = []
    while batch := await channel.take():
        batches.append(batch)
    return batches


async def test_all_that_is_put_is_taken_in_order() -> None:
    channel = ThreadChannel()
    producer = Producer(channel, 10_000)
    batches = await take_all(channel)
    await producer.ended()
    assert [found for batch in batches for found in batch] == [record(number) for number in range(1, 10_001)]


async def test_one_record_is_taken_without_waiting_for_another() -> None:
    channel = ThreadChannel()
    taking = asyncio.create_task(channel.take())
    await asyncio.to_thread(channel.put, [record(1)], 1)
    assert await asyncio.wait_for(taking, 10) == [record(1)]


@pytest.mark.parametrize(("size", "most"), [(1, MOST_RECORDS), (MOST_BYTES // 4, 4), (2 * MOST_BYTES, 1)])
async def test_a_fast_producer_is_never_further_ahead_than_the_bound(size: int, most: int) -> None:
    channel = Watched()
    producer = Producer(channel, 3 * most, size)
    assert await asyncio.to_thread(channel.was_full.wait, 10)
    assert len(await channel.take()) == most
    assert max(map(len, await take_all(channel))) <= most
    await producer.ended()


async def test_a_portion_goes_over_whole_and_one_of_nothing_wakes_nobody() -> None:
    channel = ThreadChannel()
    taking = asyncio.create_task(channel.take())
    await asyncio.to_thread(channel.put, [], 0)
    portion = [record(number) for number in range(MOST_RECORDS + 500)]
    await asyncio.to_thread(channel.put, portion, 1)
    assert await asyncio.wait_for(taking, 10) == portion


async def test_a_portion_that_would_go_beyond_the_bound_waits_until_all_before_it_is_taken() -> None:
    channel = Watched()
    before, after = [[record(number) for number in range(MOST_RECORDS * part // 5)] for part in (4, 3)]
    channel.put(before, 1)
    putting = asyncio.create_task(asyncio.to_thread(channel.put, after, 1))
    assert await asyncio.to_thread(channel.was_full.wait, 10)
    assert await channel.take() == before
    assert await putting
    assert await channel.take() == after


async def test_a_stop_frees_a_producer_that_waits_for_room() -> None:
    channel = Watched()
    producer = Producer(channel, MOST_RECORDS + 1)
    assert await asyncio.to_thread(channel.was_full.wait, 10)
    channel.stop()
    await producer.ended()
    assert producer.refused == MOST_RECORDS + 1


async def test_a_stop_frees_a_consumer_that_waits_for_records() -> None:
    channel = ThreadChannel()
    taking = asyncio.create_task(channel.take())
    await asyncio.sleep(0)
    channel.stop()
    assert await asyncio.wait_for(taking, 10) == []


async def test_nothing_is_taken_or_put_after_a_stop() -> None:
    channel = ThreadChannel()
    channel.put([record(1)], 1)
    channel.stop()
    channel.stop()
    assert await channel.take() == []
    assert not channel.put([record(2)], 1)


async def test_an_error_comes_after_what_was_put_before_it() -> None:
    channel = ThreadChannel()
    channel.put([record(1)], 1)
    channel.end(ValueError("broken"))
    assert await channel.take() == [record(1)]
    with pytest.raises(ValueError, match="broken"):
        await channel.take()


def test_an_end_that_comes_when_the_loop_is_gone_troubles_nobody() -> None:
    async def begin() -> ThreadChannel:
        channel = ThreadChannel()
        channel.stop()
        return channel

    channel = asyncio.run(begin())
    channel.end()
    assert not channel.put([record(1)], 1)
