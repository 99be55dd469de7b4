"""Records that the journal kept, and several inputs as one."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from ingestor.model.admission import Admission
from ingestor.model.ports import Changes, Input
from ingestor.model.record import Job, Line, Origin, Outcome, Reject
from ingestor.model.sources import Checkpoint, Chunk, KeptRecord, Source, SourceEnd
from ingestor.sources.inputs import Chained, IterableInput, KeptRecords
from ingestor.sources.locate import locate
from ingestor.sources.parse import parse_record
from ingestor.sources.reader import read_sources
from tests.support.records import SCOPE


class Kept:
    """A journal that only keeps records: the port, as far as `KeptRecords` needs it."""

    def __init__(self, texts: Sequence[bytes]) -> None:
        self.records = [KeptRecord(3 * n, Origin("runs.jsonl", 10 * n), text) for n, text in enumerate(texts, 1)]
        self.queries: list[tuple[Outcome, int]] = []

    async def kept_records(self, outcome: Outcome, *, after: int, limit: int) -> Sequence[KeptRecord]:
        self.queries.append((outcome, limit))
        return [it for it in self.records if it.number > after][:limit]

    async def admit(self, jobs: Sequence[Job], *, stamped: bool) -> list[Admission]:
        raise NotImplementedError

    async def commit(self, changes: Changes) -> int:
        raise NotImplementedError

    async def release(self, jobs: Sequence[Job]) -> None:
        raise NotImplementedError


class Fixed:
    """An input of given chunks, that stays open where `is_open`."""

    def __init__(self, *chunks: Chunk, total_bytes: int | None = 10, is_open: bool = False) -> None:
        self._chunks = chunks
        self.read_bytes = 0
        self.total_bytes = total_bytes
        self.acknowledged: list[Checkpoint] = []
        self.is_closed = False
        self.is_finished = False
        self._stop = asyncio.Event()
        self._end = asyncio.Event()
        if not is_open:
            self._end.set()

    async def chunks(self) -> AsyncIterator[Chunk]:
        try:
            for chunk in self._chunks:
                if self._stop.is_set():
                    return
                self.read_bytes += 5
                yield chunk
            await self._end.wait()
        finally:
            self.is_closed = True

    async def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        self.acknowledged += checkpoints

    def finish(self) -> None:
        self.is_finished = True
        self._end.set()

    def stop(self) -> None:
        self._stop.set()
        self._end.set()


def chunk(name: str) -> Chunk:
    return Chunk(Source(name, None), [])


async def all_of(source: Chained | KeptRecords) -> list[Chunk]:
    async with asyncio.timeout(10):
        return [it async for it in source.chunks()]


async def test_kept_records_come_in_pages_in_order_with_their_places() -> None:
    journal = Kept([b'{"job_id":"job %d"}' % number for number in range(1200)])
    chunks = await all_of(KeptRecords(journal, Outcome.FAILED, SCOPE))
    assert [len(it.records) for it in chunks] == [0, 500, 500, 200]
    assert {(it.source, it.position, it.end) for it in chunks} == {(None, None, None)}
    assert [record for it in chunks for record in it.records] == [
        parse_record(Line(it.origin, it.text), SCOPE) for it in journal.records
    ]
    assert set(journal.queries) == {(Outcome.FAILED, 500)}


async def test_a_kept_text_that_is_no_record_any_more_is_a_reject() -> None:
    _, found = await all_of(KeptRecords(Kept([b'{"gone": 1}', b'{"job_id": "a"}']), Outcome.UNRESOLVED, SCOPE))
    reject, job = found.records
    assert isinstance(reject, Reject)
    assert (reject.origin, reject.text) == (Origin("runs.jsonl", 10), '{"gone": 1}')
    assert isinstance(job, Job)


async def test_kept_records_have_no_bytes_and_stop() -> None:
    source = KeptRecords(Kept([b"{}"] * 1200), Outcome.FAILED, SCOPE)
    chunks = source.chunks()
    assert [len((await anext(chunks)).records) for _ in range(2)] == [0, 500]
    source.stop()
    assert [it async for it in chunks] == []
    assert (source.read_bytes, source.total_bytes) == (0, 0)
    await source.acknowledge([Checkpoint(Source("a", None))])


async def test_the_journal_is_read_once_the_empty_chunk_before_the_first_page_was_taken() -> None:
    journal = Kept([])
    chunks = KeptRecords(journal, Outcome.FAILED, SCOPE).chunks()
    assert await anext(chunks) == Chunk(None, ())
    assert journal.queries == []
    assert [it async for it in chunks] == []
    assert len(journal.queries) == 1


async def test_inputs_are_read_one_after_the_other_as_one() -> None:
    a, b = Fixed(chunk("1"), chunk("2")), Fixed(chunk("3"), total_bytes=7)
    source = Chained([a, Fixed(total_bytes=0), b])
    assert (source.read_bytes, source.total_bytes) == (0, 17)
    assert await all_of(source) == [chunk("1"), chunk("2"), chunk("3")]
    assert source.read_bytes == 15
    await source.acknowledge([Checkpoint(Source("a", None))])
    assert a.acknowledged == b.acknowledged == [Checkpoint(Source("a", None))]


async def test_the_total_is_unknown_where_one_is_unknown() -> None:
    assert Chained([Fixed(), Fixed(total_bytes=None)]).total_bytes is None


@pytest.mark.parametrize("at", [0, 1, 2])
async def test_a_stop_ends_the_input_that_is_read_and_all_later_ones(at: int) -> None:
    source = Chained([Fixed(chunk("1")), Fixed(chunk("2"), is_open=True), Fixed(chunk("3"))])
    chunks = source.chunks()
    for _ in range(at):
        await anext(chunks)
    source.stop()
    source.stop()
    async with asyncio.timeout(10):
        assert [it async for it in chunks] == []


async def test_to_finish_ends_the_input_that_waits_and_reads_the_others_to_their_ends() -> None:
    waiting, later = Fixed(chunk("1"), is_open=True), Fixed(chunk("2"))
    source = Chained([waiting, later])
    chunks = source.chunks()
    assert await anext(chunks) == chunk("1")
    source.finish()
    async with asyncio.timeout(10):
        assert [it async for it in chunks] == [chunk("2")]
    assert later.is_finished


async def test_a_stop_wakes_a_silent_input() -> None:
    source = Chained([Fixed(chunk("1"), is_open=True), Fixed(chunk("2"))])
    chunks = source.chunks()
    await anext(chunks)
    waiting = asyncio.ensure_future(anext(chunks, None))
    await asyncio.sleep(0)
    source.stop()
    assert await asyncio.wait_for(waiting, 10) is None


async def test_the_input_that_is_read_is_closed_with_the_chain() -> None:
    first = Fixed(chunk("1"), chunk("2"))
    chunks = Chained([first]).chunks()
    await anext(chunks)
    assert not first.is_closed
    await chunks.aclose()  # type: ignore[attr-defined]  # the generator that it is
    assert first.is_closed


async def test_real_inputs_are_chained(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes(b'{"job_id":"file"}\n')
    inputs: list[Input] = [
        KeptRecords(Kept([b'{"job_id":"kept"}']), Outcome.UNRESOLVED, SCOPE),
        read_sources(locate([str(tmp_path / "runs.jsonl")]).sources, SCOPE),
        IterableInput([{"job_id": "given"}], SCOPE),
    ]
    chunks = await all_of(Chained(inputs))
    keys = [it.key for chunk in chunks for it in chunk.records if isinstance(it, Job)]
    assert (keys, [it.end for it in chunks if it.end]) == (["kept", "file", "given"], [SourceEnd.COMPLETE] * 2)
