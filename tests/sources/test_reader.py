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
from ingestor.model.source import Source
from ingestor.sources.reader import Reader, open_sources
from ingestor.sources.thread_channel import MOST_RECORDS
from tests.support.records import SCOPE


@pytest.fixture(autouse=True)
def _every_thread_ends() -> Iterator[None]:
    """Hold every test to it that no reading thread outlives its input."""
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


def test_another_process_finds_what_a_link_led_to(tmp_path: Path) -> None:
    (tmp_path / "day" / "files").mkdir(parents=True)
    monday = write(tmp_path / "day" / "monday.jsonl", line(1))
    tuesday = write(tmp_path / "monday.jsonl", line(2))
    (tmp_path / "latest").symlink_to(monday)
    (tmp_path / "folder").symlink_to(tmp_path / "day" / "files")
    names = [str(tmp_path / "latest"), str(tmp_path / "folder" / ".." / "monday.jsonl"), tuesday]
    read = [Reader([name], SCOPE).sources for name in names]
    assert read == [
        [Source(name, os.path.realpath(path))] for name, path in zip(names, (monday, monday, tuesday), strict=True)
    ]


async def read_all(reader: Reader) -> list[Job | Reject]:
    return [record async for batch in reader.batches() for record in batch]


def keys(records: Sequence[Job | Reject]) -> list[str]:
    return [record.key for record in records if isinstance(record, Job)]


async def test_inputs_of_all_kinds_are_read_one_after_the_other(tmp_path: Path) -> None:
    names = [
        write(tmp_path / "1.jsonl", line(1) + b"\n" + line(2)),
        write(tmp_path / "2.jsonl.gz", gzip.compress(line(3))),
        write(tmp_path / "3.jsonl.zst", zstd.compress(line(4))),
    ]
    records = await read_all(open_sources([str(tmp_path)], SCOPE))
    assert keys(records) == ["job-1", "job-2", "job-3", "job-4"]
    assert [record.origin for record in records] == [
        Origin(names[0], 1),
        Origin(names[0], 3),
        Origin(names[1], 1),
        Origin(names[2], 1),
    ]


async def test_one_bad_line_costs_only_itself(tmp_path: Path) -> None:
    name = write(tmp_path / "a.jsonl", line(1) + b"{not json\n" + line(2))
    first, bad, second = await read_all(open_sources([name], SCOPE))
    assert keys([first, second]) == ["job-1", "job-2"]
    assert isinstance(bad, Reject)
    assert (bad.origin, bad.text) == (Origin(name, 2), "{not json")


async def test_a_broken_input_costs_only_its_own_rest(tmp_path: Path) -> None:
    broken = write(tmp_path / "1.jsonl.gz", gzip.compress(line(1))[:-9])
    whole = write(tmp_path / "2.jsonl", line(2))
    records = await read_all(open_sources([broken, whole], SCOPE))
    assert keys(records)[-1] == "job-2"
    assert sum(isinstance(record, Reject) and record.origin.source == broken for record in records) == 1


async def test_an_empty_input_has_no_batches(tmp_path: Path) -> None:
    assert await read_all(open_sources([write(tmp_path / "a.jsonl", b"")], SCOPE)) == []


def test_a_missing_file_is_an_error_before_anything_is_read() -> None:
    with pytest.raises(UsageError, match=r"gone\.jsonl"):
        open_sources(["gone.jsonl"], SCOPE)


async def test_bytes_are_counted_as_stored(tmp_path: Path) -> None:
    plain = line(1) * 1000
    packed = gzip.compress(plain)
    names = [write(tmp_path / "a.jsonl", plain), write(tmp_path / "b.jsonl.gz", packed)]
    reader = open_sources(names, SCOPE)
    assert (reader.read_bytes, reader.total_bytes) == (0, len(plain) + len(packed))
    assert len(await read_all(reader)) == 2000
    assert reader.read_bytes == reader.total_bytes


def test_the_total_is_unknown_where_one_input_has_no_size(tmp_path: Path) -> None:
    name = write(tmp_path / "a.jsonl", line(1))
    assert open_sources([name, "-"], SCOPE).total_bytes is None
    assert open_sources([Pipe(tmp_path / "fifo").name], SCOPE).total_bytes is None


def test_the_total_of_empty_inputs_is_known(tmp_path: Path) -> None:
    assert open_sources([write(tmp_path / "a.jsonl", b"")], SCOPE).total_bytes == 0


async def test_a_line_that_trickles_in_is_delivered_at_once(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "fifo")
    batches = open_sources([pipe.name], SCOPE).batches()
    first = asyncio.ensure_future(anext(batches))
    await pipe.open()
    pipe.write(line(1))
    assert keys(await asyncio.wait_for(first, 10)) == ["job-1"]
    pipe.write(line(2) + b'{"job_id":')
    assert keys(await asyncio.wait_for(anext(batches), 10)) == ["job-2"]
    pipe.write(b'"job-3"}')
    pipe.close()
    assert keys(await asyncio.wait_for(anext(batches), 10)) == ["job-3"]
    assert await anext(batches, None) is None


async def test_a_silent_input_that_is_stopped_ends_promptly(tmp_path: Path) -> None:
    pipe = Pipe(tmp_path / "fifo")
    reader = open_sources([pipe.name], SCOPE)
    batches = reader.batches()
    first = asyncio.ensure_future(anext(batches))
    await pipe.open()
    pipe.write(line(1))
    await asyncio.wait_for(first, 10)
    silent = asyncio.ensure_future(anext(batches, None))
    await asyncio.sleep(0)
    reader.stop()
    reader.stop()
    assert await asyncio.wait_for(silent, 10) is None
    pipe.close()


async def test_what_was_stopped_before_it_began_reads_nothing(tmp_path: Path) -> None:
    reader = open_sources([write(tmp_path / "a.jsonl", line(1))], SCOPE)
    reader.stop()
    assert await read_all(reader) == []
    assert reader.read_bytes == 0


async def test_a_stop_ends_a_long_input_after_what_was_taken(tmp_path: Path) -> None:
    reader = open_sources([write(tmp_path / "a.jsonl", b"".join(map(line, range(50_000))))], SCOPE)
    records: list[Job | Reject] = []
    async for batch in reader.batches():
        records += batch
        reader.stop()
    assert 0 < len(records) <= MOST_RECORDS


async def test_leaving_the_batches_ends_the_thread(tmp_path: Path) -> None:
    reader = open_sources([write(tmp_path / "a.jsonl", b"".join(map(line, range(50_000))))], SCOPE)
    batches = reader.batches()
    await anext(batches)
    await batches.aclose()  # type: ignore[attr-defined]  # the port promises less than the generator it is


async def test_no_batch_is_larger_than_the_bound(tmp_path: Path) -> None:
    reader = open_sources([write(tmp_path / "a.jsonl", b"".join(map(line, range(20_000))))], SCOPE)
    sizes = [len(batch) async for batch in reader.batches()]
    assert sum(sizes) == 20_000
    assert max(sizes) <= MOST_RECORDS


async def test_a_fault_in_the_reading_thread_surfaces_where_batches_are_taken(tmp_path: Path) -> None:
    name = write(tmp_path / "a.jsonl", line(1))
    with pytest.raises(AttributeError, match="platform"):
        await read_all(open_sources([name], cast("Any", None)))
