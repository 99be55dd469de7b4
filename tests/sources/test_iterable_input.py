"""The port Input over the objects of a program."""

import asyncio
import threading
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator

import pytest

from ingestor.model.record import Job, Origin, Reject
from ingestor.model.sources import Chunk, Source, SourceEnd
from ingestor.sources.inputs import IterableInput
from ingestor.sources.parse import parse_object
from ingestor.sources.thread_channel import MOST_BYTES, MOST_RECORDS
from tests.support.records import SCOPE

Given = Iterable[object] | AsyncIterable[object]


async def on_loop(records: Iterable[object]) -> AsyncIterator[object]:
    for record in records:
        yield record


EVERY_KIND = pytest.mark.parametrize("as_given", [list, iter, on_loop], ids=["list", "iterator", "async iterable"])
As = Callable[[Iterable[object]], Given]


@pytest.fixture(autouse=True)
def _every_thread_ends() -> Iterator[None]:
    yield
    for thread in threading.enumerate():
        if thread.name == "reader":
            thread.join(10)
            assert not thread.is_alive()


async def all_of(source: IterableInput) -> list[Chunk]:
    async with asyncio.timeout(10):
        return [chunk async for chunk in source.chunks()]


@EVERY_KIND
@pytest.mark.parametrize("count", [0, 1, 999, 5000])
async def test_every_record_comes_once_in_order_with_its_number(as_given: As, count: int) -> None:
    given = [{"job_id": f"job {n}"} if n % 3 else f'{{"job_id":"job {n}"}}' for n in range(count)]
    source = IterableInput(as_given(given), SCOPE, "notebook")
    chunks = await all_of(source)
    assert [record for chunk in chunks for record in chunk.records] == [
        parse_object(record, Origin("notebook", number), SCOPE) for number, record in enumerate(given, 1)
    ]
    assert {(chunk.source, chunk.position) for chunk in chunks} == {(Source("notebook", None), None)}
    assert [chunk.end for chunk in chunks] == [None] * (len(chunks) - 1) + [SourceEnd.COMPLETE]
    assert all(0 < len(chunk.records) <= MOST_RECORDS for chunk in chunks[:-1])


@EVERY_KIND
async def test_what_is_no_record_is_a_reject_in_its_place(as_given: As) -> None:
    given = [{"job_id": "a"}, {"start_time": float("inf")}, None, b"[]", b'{"job_id": "b"}']
    chunks = await all_of(IterableInput(as_given(given), SCOPE))
    records = [record for chunk in chunks for record in chunk.records]
    assert [isinstance(record, Reject) for record in records] == [False, True, True, True, False]
    assert [record.origin for record in records] == [Origin("records", number) for number in range(1, 6)]


@EVERY_KIND
async def test_the_bytes_of_the_text_are_counted_and_the_total_is_unknown(as_given: As) -> None:
    source = IterableInput(as_given([{"job_id": "a"}, b'{"job_id":"b"}']), SCOPE)
    assert (source.read_bytes, source.total_bytes) == (0, None)
    chunks = await all_of(source)
    sizes = [len(record.raw) for chunk in chunks for record in chunk.records if isinstance(record, Job)]
    assert (len(sizes), sum(sizes)) == (2, source.read_bytes)


async def test_a_slow_iterator_gives_each_record_at_once() -> None:
    asked, may_go_on = [threading.Event() for _ in range(3)], [threading.Event() for _ in range(3)]

    def slow() -> Iterator[object]:
        for number in range(3):
            asked[number].set()
            may_go_on[number].wait(10)
            yield {"job_id": f"job {number}"}

    chunks = IterableInput(slow(), SCOPE).chunks()
    for number in range(3):
        may_go_on[number].set()
        chunk = await asyncio.wait_for(anext(chunks), 10)
        assert [record.key for record in chunk.records if isinstance(record, Job)] == [f"job {number}"]
    assert (await anext(chunks)).end is SourceEnd.COMPLETE


async def test_a_slow_async_iterator_gives_each_record_at_once() -> None:
    queue = asyncio.Queue[object]()

    async def slow() -> AsyncIterator[object]:
        while (record := await queue.get()) is not None:
            yield record

    chunks = IterableInput(slow(), SCOPE).chunks()
    for number in range(3):
        queue.put_nowait({"job_id": f"job {number}"})
        chunk = await asyncio.wait_for(anext(chunks), 10)
        assert [record.key for record in chunk.records if isinstance(record, Job)] == [f"job {number}"]
    queue.put_nowait(None)
    assert (await anext(chunks)).end is SourceEnd.COMPLETE


@EVERY_KIND
@pytest.mark.parametrize(("size", "most"), [(1, MOST_RECORDS), (MOST_BYTES // 4, 4)])
async def test_no_more_is_taken_than_the_bound(as_given: As, size: int, most: int) -> None:
    text = {"run_name": "x" * size}
    chunks = await all_of(IterableInput(as_given(text for _ in range(2 * most + 1)), SCOPE))
    assert sum(len(chunk.records) for chunk in chunks) == 2 * most + 1
    assert max(len(chunk.records) for chunk in chunks) <= most


def broken(error: BaseException) -> Iterator[object]:
    yield {"job_id": "before"}
    raise error


@pytest.mark.parametrize("as_given", [iter, on_loop])
async def test_an_error_of_the_iterable_is_raised_after_the_records_before_it(as_given: As) -> None:
    chunks = IterableInput(as_given(broken(KeyError("mine"))), SCOPE).chunks()
    found = await anext(chunks)
    assert len(found.records) == 1
    with pytest.raises(KeyError, match="mine"):
        await anext(chunks)


@EVERY_KIND
async def test_a_stop_ends_it_and_one_before_the_start_reads_nothing(as_given: As) -> None:
    source = IterableInput(as_given({"job_id": str(n)} for n in range(20_000)), SCOPE)
    taken = 0
    async for chunk in source.chunks():
        taken += len(chunk.records)
        source.stop()
        source.stop()
    assert 0 < taken < 20_000
    stopped = IterableInput(as_given([{}]), SCOPE)
    stopped.stop()
    assert await all_of(stopped) == []


async def test_a_stop_wakes_a_silent_async_iterator_and_cancels_it() -> None:
    is_closed = asyncio.Event()

    async def silent() -> AsyncIterator[object]:
        yield {}
        try:
            await asyncio.Event().wait()
        finally:
            is_closed.set()

    source = IterableInput(silent(), SCOPE)
    chunks = source.chunks()
    await anext(chunks)
    waiting = asyncio.ensure_future(anext(chunks, None))
    await asyncio.sleep(0)
    source.stop()
    assert await asyncio.wait_for(waiting, 10) is None
    assert is_closed.is_set()


@EVERY_KIND
async def test_reading_ends_when_the_chunks_are_closed(as_given: As) -> None:
    chunks = IterableInput(as_given({"job_id": str(n)} for n in range(20_000)), SCOPE).chunks()
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]  # the generator that it is
