import asyncio
import gzip
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from backports import zstd

from ingestor.model.errors import UsageError
from ingestor.model.record import Job, Origin, Reject
from ingestor.model.sources import Checkpoint, Chunk, Source, SourceEnd
from ingestor.sources.lines import MOST_LINES
from ingestor.sources.locate import locate, source_of
from ingestor.sources.reader import Reader, read_sources
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT
from ingestor.sources.thread_channel import MOST_RECORDS
from tests.sources.standard_input import piped
from tests.support.records import SCOPE


@pytest.fixture(autouse=True)
def _every_thread_ends() -> Iterator[None]:
    """Check after every test that no reading thread outlives its input."""
    yield
    for thread in threading.enumerate():
        if thread.name == "reader":
            thread.join(10)
            assert not thread.is_alive()


class Pipe:
    """The writing end of a FIFO that a reader was opened on."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.name = str(path)
        self._descriptor = -1

    async def open(self) -> None:
        self._descriptor = await asyncio.to_thread(os.open, self.name, os.O_WRONLY)

    def write(self, content: bytes) -> None:
        os.write(self._descriptor, content)

    def close(self) -> None:
        os.close(self._descriptor)


def line(number: int) -> bytes:
    return json.dumps({"job_id": f"job-{number}"}).encode() + b"\n"


def write(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    return str(path)


async def read_all(reader: Reader) -> list[Job | Reject]:
    return [record async for chunk in reader.chunks() for record in chunk.records]


def keys(records: Sequence[Job | Reject]) -> list[str]:
    return [record.key for record in records if isinstance(record, Job)]


def keys_of(chunk: Chunk) -> list[str]:
    return keys(chunk.records)


async def test_inputs_of_all_kinds_are_read_one_after_the_other(tmp_path: Path) -> None:
    names = [
        write(tmp_path / "1.jsonl", line(1) + b"\n" + line(2)),
        write(tmp_path / "2.jsonl.gz", gzip.compress(line(3))),
        write(tmp_path / "3.jsonl.zst", zstd.compress(line(4))),
    ]
    records = await read_all(read_sources(locate([str(tmp_path)]).sources, SCOPE))
    assert keys(records) == ["job-1", "job-2", "job-3", "job-4"]
    assert [record.origin for record in records] == [
        Origin(names[0], 1),
        Origin(names[0], 3),
        Origin(names[1], 1),
        Origin(names[2], 1),
    ]


async def test_a_bad_line_costs_only_itself(tmp_path: Path) -> None:
    name = write(tmp_path / "a.jsonl", line(1) + b"{not json\n" + line(2))
    first, bad, second = await read_all(read_sources(locate([name]).sources, SCOPE))
    assert keys([first, second]) == ["job-1", "job-2"]
    assert isinstance(bad, Reject)
    assert (bad.origin, bad.text) == (Origin(name, 2), "{not json")


async def test_a_damaged_source_costs_only_its_own_rest(tmp_path: Path) -> None:
    broken = write(tmp_path / "1.jsonl.gz", gzip.compress(line(1))[:-9])
    whole = write(tmp_path / "2.jsonl", line(2))
    chunks = [chunk async for chunk in read_sources(locate([broken, whole]).sources, SCOPE).chunks()]
    records = [record for chunk in chunks for record in chunk.records]
    assert keys(records)[-1] == "job-2"
    assert sum(isinstance(record, Reject) and record.origin.source == broken for record in records) == 1
    assert [(chunk.source.name, chunk.end) for chunk in chunks if chunk.source and chunk.end] == [
        (broken, SourceEnd.DAMAGED),
        (whole, SourceEnd.COMPLETE),
    ]


async def test_an_empty_file_has_its_end_and_no_records(tmp_path: Path) -> None:
    [chunk] = [it async for it in read_sources(locate([write(tmp_path / "a.jsonl", b"")]).sources, SCOPE).chunks()]
    assert (chunk.records, chunk.end) == ([], SourceEnd.COMPLETE)


def test_a_missing_file_is_an_error_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match=r"gone\.jsonl"):
        read_sources(locate(["gone.jsonl"]).sources, SCOPE)


async def test_bytes_are_counted_as_the_text_that_compressed_data_becomes(tmp_path: Path) -> None:
    plain = line(1) * 1000
    packed = gzip.compress(plain)
    names = [write(tmp_path / "a.jsonl", plain), write(tmp_path / "b.jsonl.gz", packed)]
    reader = read_sources(locate(names).sources, SCOPE)
    assert (reader.read_bytes, reader.total_bytes) == (0, None)
    assert len(await read_all(reader)) == 2000
    assert (reader.read_bytes, reader.total_bytes) == (2 * len(plain), 2 * len(plain))


def test_the_total_is_unknown_where_one_input_has_no_size(tmp_path: Path) -> None:
    name = write(tmp_path / "a.jsonl", line(1))
    assert read_sources(locate([name, "-"]).sources, SCOPE).total_bytes is None
    assert read_sources(locate([Pipe(tmp_path / "fifo").name]).sources, SCOPE).total_bytes is None


def test_the_total_of_empty_inputs_is_known(tmp_path: Path) -> None:
    assert read_sources(locate([write(tmp_path / "a.jsonl", b"")]).sources, SCOPE).total_bytes == 0


async def test_a_line_that_trickles_in_is_delivered_at_once(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "fifo")
    chunks = read_sources(locate([pipe.name]).sources, SCOPE).chunks()
    first = asyncio.ensure_future(anext(chunks))
    await pipe.open()
    pipe.write(line(1))
    assert keys_of(await asyncio.wait_for(first, 10)) == ["job-1"]
    pipe.write(line(2) + b'{"job_id":')
    assert keys_of(await asyncio.wait_for(anext(chunks), 10)) == ["job-2"]
    pipe.write(b'"job-3"}')
    pipe.close()
    last = await asyncio.wait_for(anext(chunks), 10)
    assert (keys_of(last), last.end) == (["job-3"], SourceEnd.COMPLETE)
    assert await anext(chunks, None) is None


async def test_a_silent_input_that_is_stopped_ends_promptly(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "fifo")
    reader = read_sources(locate([pipe.name]).sources, SCOPE)
    chunks = reader.chunks()
    first = asyncio.ensure_future(anext(chunks))
    await pipe.open()
    pipe.write(line(1))
    await asyncio.wait_for(first, 10)
    silent = asyncio.ensure_future(anext(chunks, None))
    await asyncio.sleep(0)
    reader.stop()
    reader.stop()
    assert await asyncio.wait_for(silent, 10) is None
    pipe.close()


async def test_an_input_that_is_stopped_before_it_began_reads_nothing(tmp_path: Path) -> None:
    reader = read_sources(locate([write(tmp_path / "a.jsonl", line(1))]).sources, SCOPE)
    reader.stop()
    assert await read_all(reader) == []
    assert reader.read_bytes == 0


async def test_a_stop_ends_a_long_input_after_what_was_read(tmp_path: Path) -> None:
    reader = read_sources(locate([write(tmp_path / "a.jsonl", b"".join(map(line, range(50_000))))]).sources, SCOPE)
    records: list[Job | Reject] = []
    async for chunk in reader.chunks():
        records += chunk.records
        reader.stop()
    assert 0 < len(records) <= MOST_RECORDS


async def test_the_thread_ends_when_its_chunks_are_closed(tmp_path: Path) -> None:
    reader = read_sources(locate([write(tmp_path / "a.jsonl", b"".join(map(line, range(50_000))))]).sources, SCOPE)
    chunks = reader.chunks()
    await anext(chunks)
    await chunks.aclose()  # type: ignore[attr-defined]  # the port promises less than the generator it is


async def test_no_chunk_is_larger_than_the_bound(tmp_path: Path) -> None:
    reader = read_sources(locate([write(tmp_path / "a.jsonl", b"".join(map(line, range(20_000))))]).sources, SCOPE)
    sizes = [len(chunk.records) async for chunk in reader.chunks()]
    assert sum(sizes) == 20_000
    assert max(sizes) <= MOST_LINES


async def test_an_error_in_the_reading_thread_is_raised_by_chunks(tmp_path: Path) -> None:
    name = write(tmp_path / "a.jsonl", line(1))
    with pytest.raises(AttributeError, match="platform"):
        await read_all(read_sources([source_of(name)], cast("Any", None)))


async def test_reading_begins_at_the_start_of_each_source(tmp_path: Path) -> None:
    first, second = (write(tmp_path / f"{name}.jsonl", b"".join(map(line, range(3000)))) for name in "ab")
    chunks = [chunk async for chunk in read_sources(locate([first]).sources, SCOPE).chunks()]
    start = chunks[0].position
    assert start is not None
    reader = read_sources([source_of(first), source_of(second)], SCOPE, starts={source_of(first): start})
    records = await read_all(reader)
    skipped = len(chunks[0].records)
    assert keys(records) == [f"job-{n}" for n in [*range(skipped, 3000), *range(3000)]]
    assert records[0].origin == Origin(first, skipped + 1)
    assert reader.read_bytes == reader.total_bytes


async def test_a_source_is_read_by_its_path_and_named_by_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", line(1))
    source = Source("the name of another day", path)
    [chunk] = [it async for it in read_sources([source], SCOPE).chunks() if it.records]
    assert (chunk.source, chunk.records[0].origin) == (source, Origin(source.name, 1))


async def test_kept_standard_input_is_read_first_and_is_one_source(tmp_path: Path) -> None:
    name = write(tmp_path / "a.jsonl", line(2))
    with piped(line(1)):
        await read_all(read_sources([STANDARD_INPUT], SCOPE, Spool(tmp_path, SCOPE)))
    with piped(line(3)):
        reader = read_sources([source_of(name), STANDARD_INPUT], SCOPE, Spool(tmp_path, SCOPE))
        chunks = [chunk async for chunk in reader.chunks()]
    assert [(chunk.source.name, *keys_of(chunk)) for chunk in chunks if chunk.source and chunk.records] == [
        ("-", "job-1"),
        (name, "job-2"),
        ("-", "job-3"),
    ]
    assert [chunk.source for chunk in chunks if chunk.end] == [source_of(name), STANDARD_INPUT]


async def test_kept_standard_input_is_read_where_none_is_named(tmp_path: Path) -> None:
    with piped(line(1)):
        await read_all(read_sources([STANDARD_INPUT], SCOPE, Spool(tmp_path, SCOPE)))
    reader = read_sources([], SCOPE, Spool(tmp_path, SCOPE))
    chunks = [chunk async for chunk in reader.chunks()]
    assert ([key for chunk in chunks for key in keys_of(chunk)], chunks[-1].end) == (["job-1"], SourceEnd.COMPLETE)
    await reader.acknowledge([Checkpoint(STANDARD_INPUT, chunks[-1].position, end=chunks[-1].end)])
    assert Spool(tmp_path, SCOPE).is_empty


async def test_the_checkpoints_of_other_sources_delete_nothing(tmp_path: Path) -> None:
    with piped(line(1)):
        reader = read_sources([STANDARD_INPUT], SCOPE, Spool(tmp_path, SCOPE))
        await read_all(reader)
    await reader.acknowledge([Checkpoint(Source("a.jsonl", "/a.jsonl"), end=SourceEnd.COMPLETE)])
    await reader.acknowledge([Checkpoint(STANDARD_INPUT, None, end=SourceEnd.DAMAGED)])
    assert not Spool(tmp_path, SCOPE).is_empty
    await reader.acknowledge([Checkpoint(STANDARD_INPUT, None, end=SourceEnd.COMPLETE)])
    assert Spool(tmp_path, SCOPE).is_empty


async def test_without_a_spool_standard_input_has_no_positions() -> None:
    with piped(line(1)):
        chunks = [chunk async for chunk in read_sources([STANDARD_INPUT], SCOPE).chunks()]
    assert {(chunk.source, chunk.position) for chunk in chunks} == {(STANDARD_INPUT, None)}


async def test_a_named_pipe_that_no_program_opens_to_write_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingestor.sources.reader.STALL", 0.0)
    pipe = Pipe(tmp_path / "fifo")
    reader = read_sources([source_of(write(tmp_path / "a.jsonl", line(1))), source_of(pipe.name)], SCOPE)
    assert reader.waits_for() == []
    reading = asyncio.create_task(read_all(reader))
    async with asyncio.timeout(30):
        # The file before it is opened first, and may be named for a moment: here every opening counts as waiting.
        while reader.waits_for() != [f"waiting for a program that writes to {pipe.name}"]:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.001)
        await pipe.open()
        pipe.write(line(2))
        pipe.close()
        assert len(await reading) == 2
    assert reader.waits_for() == []
