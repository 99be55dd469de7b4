"""The port Input: what the stand-in and the reader of real files promise alike."""

import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from ingestor.model.ports import Input
from ingestor.model.record import Job, Line, Origin, Reject
from ingestor.sources.reader import Reader
from ingestor.sources.record import parse_line
from tests.support.memory import MemoryInput
from tests.support.records import SCOPE

Records = Sequence[Job | Reject]
Make = Callable[[list[str]], Input]
"""Makes the input that holds these lines."""


def lines(count: int) -> list[str]:
    """Make lines of which every seventh is no record."""
    return [f'{{"job_id":"job-{n}","run_name":"run {n}"}}' if n % 7 else f"no JSON {n}" for n in range(count)]


def records(source: str, texts: list[str]) -> Records:
    return [parse_line(Line(Origin(source, n), text.encode()), SCOPE) for n, text in enumerate(texts, start=1)]


@pytest.fixture
def source(tmp_path: Path) -> str:
    return str(tmp_path / "runs.jsonl")


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, source: str) -> Make:
    """Make an input that ends."""

    def file(texts: list[str]) -> Input:
        Path(source).write_text("".join(f"{text}\n" for text in texts))
        return Reader([source], SCOPE)

    return file if request.param == "file" else lambda texts: MemoryInput(records(source, texts))


@pytest.fixture(params=["memory", "pipe"])
def make_open(request: pytest.FixtureRequest, source: str) -> Iterator[Make]:
    """Make an input that stays open and silent after its last line."""
    with ExitStack() as at_end:

        def pipe(texts: list[str]) -> Input:
            os.mkfifo(source)
            descriptor = os.open(source, os.O_RDWR)
            at_end.callback(os.close, descriptor)
            os.write(descriptor, "".join(f"{text}\n" for text in texts).encode())
            return Reader([source], SCOPE)

        yield pipe if request.param == "pipe" else lambda texts: MemoryInput(records(source, texts), open_end=True)


async def all_of(source: Input) -> list[Records]:
    async with asyncio.timeout(10):
        return [batch async for batch in source.batches()]


@pytest.mark.parametrize("count", [1, 9, 10, 11, 5000])
async def test_every_record_comes_once_in_order_and_rejects_in_their_place(make: Make, source: str, count: int) -> None:
    batches = await all_of(make(lines(count)))
    assert [record for batch in batches for record in batch] == records(source, lines(count))


@pytest.mark.parametrize("count", [1, 25])
async def test_no_batch_is_empty(make: Make, count: int) -> None:
    assert all(await all_of(make(lines(count))))


async def test_an_empty_input_has_no_batches_and_no_bytes(make: Make) -> None:
    source = make([])
    assert (await all_of(source), source.read_bytes, source.total_bytes) == ([], 0, 0)


async def test_what_is_there_comes_while_the_source_stays_open(make_open: Make, source: str) -> None:
    opened = make_open(lines(25))
    batches = aiter(opened.batches())
    taken: list[Job | Reject] = []
    async with asyncio.timeout(10):
        while len(taken) < 25:
            taken += await anext(batches)
        opened.stop()
        assert [batch async for batch in batches] == []
    assert taken == records(source, lines(25))


async def test_a_stop_ends_a_wait_for_a_silent_source(make_open: Make) -> None:
    opened = make_open(lines(5))
    batches = aiter(opened.batches())
    taken = 0
    async with asyncio.timeout(10):
        while taken < 5:
            taken += len(await anext(batches))
        waiting = asyncio.ensure_future(anext(batches, None))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not waiting.done()
        opened.stop()
        assert await waiting is None


async def test_after_a_stop_comes_nothing_but_what_was_taken(make: Make, source: str) -> None:
    opened = make(lines(5000))
    taken: list[Job | Reject] = []
    async for batch in opened.batches():
        opened.stop()
        taken += batch
        here = len(taken)
    assert taken == records(source, lines(5000))[:here]
    assert 0 < here < 5000


async def test_an_input_that_is_stopped_before_it_began_yields_nothing(make: Make) -> None:
    opened = make(lines(30))
    opened.stop()
    assert (await all_of(opened), opened.read_bytes) == ([], 0)


async def test_stopping_twice_is_stopping_once(make: Make) -> None:
    opened = make(lines(30))
    batches = aiter(opened.batches())
    await anext(batches)
    opened.stop()
    opened.stop()
    assert [batch async for batch in batches] == []


async def test_read_bytes_grow_from_nothing_to_the_size_of_all(make: Make) -> None:
    opened = make(lines(5000))
    assert opened.read_bytes == 0
    seen = [opened.read_bytes async for _ in opened.batches()]
    assert seen[0] > 0
    assert seen == sorted(seen)
    assert seen[-1] == opened.read_bytes == opened.total_bytes == sum(len(line) + 1 for line in lines(5000))


async def test_a_source_that_may_go_on_has_no_known_size_and_counts_what_it_gave(make_open: Make) -> None:
    opened = make_open(lines(5))
    assert (opened.read_bytes, opened.total_bytes) == (0, None)
    async for _ in opened.batches():
        if opened.read_bytes == sum(len(line) + 1 for line in lines(5)):
            opened.stop()
    assert opened.total_bytes is None
