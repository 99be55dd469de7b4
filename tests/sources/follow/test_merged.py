"""Several inputs that are read at the same time."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from ingestor.model.sources import Checkpoint, Chunk, Source
from ingestor.sources.follow.merged import Merged
from tests.support.memory import MemoryInput
from tests.support.records import jobs


class Given:
    """An input of chunks that a test gives one by one; it is open until `finish`."""

    total_bytes: int | None = None
    read_bytes = 0

    def __init__(self, name: str, sizes: Sequence[int] = (), error: Exception | None = None) -> None:
        self.source = Source(name, None)
        self._sizes = sizes
        self._error = error
        self._ended = asyncio.Event()
        self.acknowledged: list[Checkpoint] = []

    async def chunks(self) -> AsyncIterator[Chunk]:
        for size in self._sizes:
            yield Chunk(self.source, jobs(size), str(size))
        if self._error is not None:
            raise self._error
        await self._ended.wait()

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.acknowledged += checkpoints

    def finish(self) -> None:
        self._ended.set()

    def stop(self) -> None:
        self._ended.set()


async def names(source: Merged, count: int) -> list[str]:
    chunks, found = source.chunks(), list[str]()
    async with asyncio.timeout(10):
        async for chunk in chunks:
            assert chunk.source is not None
            found.append(chunk.source.name)
            await asyncio.sleep(0)
            if len(found) == count:
                break
    return found


async def test_inputs_take_turns_by_bytes() -> None:
    found = await names(Merged([Given("large", [400] * 50), Given("small", [100] * 50)]), 40)
    assert 7 <= found.count("large") <= 9


async def test_a_silent_input_delays_no_other_and_saves_nothing_up() -> None:
    late = Given("late")
    source = Merged([Given("busy", [100] * 60), late])
    assert await names(source, 60) == ["busy"] * 60


async def test_all_are_read_to_their_ends_after_finish() -> None:
    source = Merged([MemoryInput(jobs(25), open_end=True), Given("waiting", [3])])
    records = 0
    async with asyncio.timeout(10):
        async for chunk in source.chunks():
            records += len(chunk.records)
            source.finish()
    assert records == 28


async def test_a_stop_ends_all() -> None:
    source = Merged([Given("a", [1]), Given("b", [1])])
    async with asyncio.timeout(10):
        async for _ in source.chunks():
            source.stop()


async def test_an_error_of_one_input_ends_all() -> None:
    with pytest.raises(ValueError, match="broken"):
        await names(Merged([Given("a", [1] * 5), Given("b", [], ValueError("broken"))]), 100)


async def test_checkpoints_and_sizes_are_those_of_all() -> None:
    a, b = Given("a"), Given("b")
    source = Merged([a, b])
    await source.acknowledge([Checkpoint(a.source)])
    assert a.acknowledged == b.acknowledged == [Checkpoint(a.source)]
    assert (source.read_bytes, source.total_bytes) == (0, None)
