import asyncio
import threading

import pytest

from ingestor.sources.thread_channel import MOST_BYTES, MOST_RECORDS, ThreadChannel


class Watched(ThreadChannel[int]):
    """Records when it first had no room."""

    def __init__(self) -> None:
        super().__init__()
        self.was_full = threading.Event()

    def has_room(self, records: int, size: int) -> bool:
        if not (has_room := super().has_room(records, size)):
            self.was_full.set()
        return has_room


class Producer:
    """A thread that puts numbers as fast as it can; `refused` is the one that nobody took."""

    def __init__(self, channel: ThreadChannel[int], count: int, size: int = 1) -> None:
        self._channel = channel
        self._count = count
        self._size = size
        self.refused = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for number in range(1, self._count + 1):
            if not self._channel.put(number, records=1, size=self._size):
                self.refused = number
                return
        self._channel.end()

    async def ended(self) -> None:
        await asyncio.to_thread(self._thread.join, 10)
        assert not self._thread.is_alive()


async def take_all(channel: ThreadChannel[int]) -> list[list[int]]:
    batches: list[list[int]] = []
    while batch := await channel.take():
        batches.append(batch)
    return batches


async def test_all_that_is_put_is_taken_in_order() -> None:
    channel = ThreadChannel[int]()
    producer = Producer(channel, 10_000)
    batches = await take_all(channel)
    await producer.ended()
    assert [number for batch in batches for number in batch] == list(range(1, 10_001))


async def test_one_value_is_taken_without_waiting_for_another() -> None:
    channel = ThreadChannel[int]()
    taking = asyncio.create_task(channel.take())
    await asyncio.to_thread(channel.put, 1, records=1, size=1)
    assert await asyncio.wait_for(taking, 10) == [1]


@pytest.mark.parametrize(("size", "most"), [(1, MOST_RECORDS), (MOST_BYTES // 4, 4), (2 * MOST_BYTES, 1)])
async def test_a_fast_producer_is_never_further_ahead_than_the_bound(size: int, most: int) -> None:
    channel = Watched()
    producer = Producer(channel, 3 * most, size)
    assert await asyncio.to_thread(channel.was_full.wait, 10)
    assert len(await channel.take()) == most
    assert max(map(len, await take_all(channel))) <= most
    await producer.ended()


async def test_a_value_of_many_records_is_taken_whole() -> None:
    channel = ThreadChannel[int]()
    assert channel.put(7, records=MOST_RECORDS + 500, size=1)
    assert await channel.take() == [7]


async def test_a_value_without_records_is_taken_as_well() -> None:
    channel = ThreadChannel[int]()
    taking = asyncio.create_task(channel.take())
    await asyncio.to_thread(channel.put, 7, records=0, size=0)
    assert await asyncio.wait_for(taking, 10) == [7]


async def test_a_value_that_would_exceed_the_bound_waits_until_all_before_it_is_taken() -> None:
    channel = Watched()
    channel.put(1, records=MOST_RECORDS * 4 // 5, size=1)
    putting = asyncio.create_task(asyncio.to_thread(channel.put, 2, records=MOST_RECORDS * 3 // 5, size=1))
    assert await asyncio.to_thread(channel.was_full.wait, 10)
    assert await channel.take() == [1]
    assert await putting
    assert await channel.take() == [2]


async def test_a_stop_frees_a_producer_that_waits_for_room() -> None:
    channel = Watched()
    producer = Producer(channel, MOST_RECORDS + 1)
    assert await asyncio.to_thread(channel.was_full.wait, 10)
    channel.stop()
    await producer.ended()
    assert producer.refused == MOST_RECORDS + 1


async def test_a_stop_frees_a_consumer_that_waits_for_values() -> None:
    channel = ThreadChannel[int]()
    taking = asyncio.create_task(channel.take())
    await asyncio.sleep(0)
    channel.stop()
    assert await asyncio.wait_for(taking, 10) == []


async def test_nothing_is_taken_or_put_after_a_stop() -> None:
    channel = ThreadChannel[int]()
    channel.put(1, records=1, size=100)
    assert channel.dropped_bytes == 0
    channel.stop()
    channel.stop()
    assert await channel.take() == []
    assert not channel.put(2, records=1, size=20)
    assert channel.dropped_bytes == 120


async def test_an_error_comes_after_what_was_put_before_it() -> None:
    channel = ThreadChannel[int]()
    channel.put(1, records=1, size=1)
    channel.end(ValueError("broken"))
    assert await channel.take() == [1]
    with pytest.raises(ValueError, match="broken"):
        await channel.take()


def test_an_end_after_the_loop_is_closed_raises_nothing() -> None:
    async def begin() -> ThreadChannel[int]:
        channel = ThreadChannel[int]()
        channel.stop()
        return channel

    channel = asyncio.run(begin())
    channel.end()
    assert not channel.put(1, records=1, size=1)
