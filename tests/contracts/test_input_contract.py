"""The port Input: what its stand-in and every real input promise alike."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from ingestor.model.ports import Input
from ingestor.model.record import Job, Line, Origin, Reject
from ingestor.model.sources import Checkpoint, Chunk, Source, SourceEnd
from ingestor.sources.follow.followed_files import FollowedFiles
from ingestor.sources.follow.merged import Merged
from ingestor.sources.inputs import Chained, IterableInput
from ingestor.sources.locate import locate
from ingestor.sources.parse import parse_record
from ingestor.sources.reader import read_sources
from tests.support.memory import MemoryInput
from tests.support.records import SCOPE

Records = Sequence[Job | Reject]
Make = Callable[[list[str]], Input]
"""Makes the input that holds these lines."""


def lines(count: int) -> list[str]:
    """Make lines of which every seventh is no record."""
    return [f'{{"job_id":"job-{n}","run_name":"run {n}"}}' if n % 7 else f"no JSON {n}" for n in range(count)]


def records(source: str, texts: list[str]) -> Records:
    return [parse_record(Line(Origin(source, n), text.encode()), SCOPE) for n, text in enumerate(texts, start=1)]


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(tmp_path / "runs.jsonl")


@pytest.fixture(params=["memory", "file", "chain", "iterable"])
def make(request: pytest.FixtureRequest, source: str) -> Make:
    """Make an input that ends."""

    def file(texts: list[str]) -> Input:
        Path(source).write_text("".join(f"{text}\n" for text in texts))
        return read_sources(locate([source]).sources, SCOPE)

    makers: dict[str, Make] = {
        "memory": lambda texts: MemoryInput(records(source, texts)),
        "file": file,
        "chain": lambda texts: Chained([file(texts)]),
        "iterable": lambda texts: IterableInput(texts, SCOPE, source),
    }
    return makers[request.param]


@pytest.fixture(params=["memory", "pipe", "followed"])
def make_open(request: pytest.FixtureRequest, source: str) -> Iterator[Make]:
    """Make an input that stays open and silent after its last line."""
    with ExitStack() as at_end:

        def pipe(texts: list[str]) -> Input:
            os.mkfifo(source)
            descriptor = os.open(source, os.O_RDWR)
            at_end.callback(os.close, descriptor)
            os.write(descriptor, "".join(f"{text}\n" for text in texts).encode())
            return read_sources(locate([source]).sources, SCOPE)

        def followed(texts: list[str]) -> Input:
            Path(source).write_text("".join(f"{text}\n" for text in texts))
            return Merged([FollowedFiles([source], SCOPE, [], poll=0.01)])

        makers: dict[str, Make] = {
            "memory": lambda texts: MemoryInput(records(source, texts), open_end=True),
            "pipe": pipe,
            "followed": followed,
        }
        yield makers[request.param]


async def all_of(source: Input) -> list[Chunk]:
    async with asyncio.timeout(10):
        return [chunk async for chunk in source.chunks()]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 5000])
async def test_every_record_comes_once_in_order_and_rejects_in_their_place(make: Make, source: str, count: int) -> None:
    chunks = await all_of(make(lines(count)))
    assert [record for chunk in chunks for record in chunk.records] == records(source, lines(count))


@pytest.mark.parametrize("count", [0, 1, 25, 5000])
async def test_the_last_chunk_ends_the_source_and_only_chunks_that_end_one_may_be_empty(make: Make, count: int) -> None:
    chunks = await all_of(make(lines(count)))
    assert chunks[-1].end is SourceEnd.COMPLETE
    assert all(chunk.records or chunk.end for chunk in chunks)
    assert all(chunk.source for chunk in chunks)
    ended = {chunk.source for chunk in chunks if chunk.end}
    assert len([chunk for chunk in chunks if chunk.end]) == len(ended)


async def test_an_empty_input_has_no_records_and_no_bytes(make: Make) -> None:
    opened = make([])
    assert [record for chunk in await all_of(opened) for record in chunk.records] == []
    assert (opened.read_bytes, opened.total_bytes or 0) == (0, 0)


async def test_a_checkpoint_is_taken_at_any_time(make: Make) -> None:
    opened = make(lines(25))
    await opened.acknowledge([Checkpoint(Source("of another", None))])
    for chunk in await all_of(opened):
        assert chunk.source is not None
        await opened.acknowledge([Checkpoint(chunk.source, chunk.position, end=chunk.end)])
    await opened.acknowledge([])


async def test_what_is_there_comes_while_the_source_stays_open(make_open: Make, source: str) -> None:
    opened = make_open(lines(25))
    chunks = aiter(opened.chunks())
    taken: list[Job | Reject] = []
    async with asyncio.timeout(10):
        while len(taken) < 25:
            taken += (await anext(chunks)).records
        opened.stop()
        assert [chunk async for chunk in chunks] == []
    assert taken == records(source, lines(25))


async def test_a_stop_ends_a_wait_for_a_silent_source(make_open: Make) -> None:
    opened = make_open(lines(5))
    chunks = aiter(opened.chunks())
    taken = 0
    async with asyncio.timeout(10):
        while taken < 5:
            taken += len((await anext(chunks)).records)
        waiting = asyncio.ensure_future(anext(chunks, None))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        opened.stop()
        assert await waiting is None


async def test_to_finish_twice_changes_nothing_for_an_input_that_ends_by_itself(make: Make, source: str) -> None:
    opened = make(lines(5000))
    taken: list[Job | Reject] = []
    async for chunk in opened.chunks():
        opened.finish()
        opened.finish()
        taken += chunk.records
    assert taken == records(source, lines(5000))


async def test_a_stop_yields_no_more_than_was_read_and_no_end(make: Make, source: str) -> None:
    opened = make(lines(5000))
    taken: list[Job | Reject] = []
    async for chunk in opened.chunks():
        opened.stop()
        assert chunk.end is None
        taken += chunk.records
    assert taken == records(source, lines(5000))[: len(taken)]
    assert 0 < len(taken) < 5000


async def test_an_input_that_is_stopped_before_it_began_yields_nothing(make: Make) -> None:
    opened = make(lines(30))
    opened.stop()
    assert (await all_of(opened), opened.read_bytes) == ([], 0)


async def test_stopping_twice_is_stopping_once(make: Make) -> None:
    opened = make(lines(5000))
    chunks = aiter(opened.chunks())
    await anext(chunks)
    opened.stop()
    opened.stop()
    assert [chunk async for chunk in chunks if chunk.end] == []


async def test_read_bytes_grow_from_nothing_to_the_size_of_all(make: Make) -> None:
    opened = make(lines(5000))
    assert opened.read_bytes == 0
    seen = [opened.read_bytes async for _ in opened.chunks()]
    assert seen[0] > 0
    assert seen == sorted(seen)
    size = sum(map(len, lines(5000)))
    assert seen[-1] == opened.read_bytes
    assert (opened.read_bytes, opened.total_bytes) in {(size + 5000, size + 5000), (size, None)}


async def test_a_source_that_may_continue_has_no_known_size_and_counts_what_it_gave(make_open: Make) -> None:
    opened = make_open(lines(5))
    assert (opened.read_bytes, opened.total_bytes) == (0, None)
    async for _ in opened.chunks():
        if opened.read_bytes == sum(len(line) + 1 for line in lines(5)):
            opened.stop()
    assert opened.total_bytes is None
