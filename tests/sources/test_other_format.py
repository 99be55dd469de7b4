"""Another format on standard input is refused once, and not kept. Records of JSON Lines never wait for more input."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ingestor.model.record import Job, Reject
from ingestor.model.sources import STDIN, Checkpoint, Chunk, SourceEnd
from ingestor.sources.locate import source_of
from ingestor.sources.reader import Reader, read_sources
from ingestor.sources.spool import Spool
from ingestor.sources.streams import STANDARD_INPUT
from tests.sources.standard_input import piped, standard_input
from tests.support.records import SCOPE

LINES = [json.dumps({"job_id": f"job {number}"}).encode() + b"\n" for number in range(4)]
ARRAY = b"[\n" + b",\n".join(LINES) + b"]\n"
TABLE = b"job_id,run_name\n" + b"a,b\n" * 20_000


async def read(reader: Reader) -> list[Chunk]:
    """Read everything, and acknowledge it as the pipeline does."""
    chunks = [chunk async for chunk in reader.chunks()]
    for chunk in chunks:
        if chunk.source is not None:
            await reader.acknowledge([Checkpoint(chunk.source, chunk.position, end=chunk.end)])
    return chunks


def found(chunks: Sequence[Chunk]) -> list[str]:
    """Return what the records are: the keys of jobs, and the first words of the reasons of rejects."""
    records = [it for chunk in chunks for it in chunk.records]
    return [it.key if isinstance(it, Job) else it.reason.partition(":")[0] for it in records]


@pytest.mark.parametrize("content", [ARRAY, TABLE], ids=["array", "table"])
async def test_another_format_on_standard_input_is_one_reject_of_which_nothing_is_kept(
    tmp_path: Path, content: bytes
) -> None:
    spool = Spool(tmp_path, SCOPE, segment_size=4096)
    with piped(content[:60_000]):
        chunks = await read(read_sources([STANDARD_INPUT], SCOPE, spool))
    assert found(chunks) == ["this is a JSON array" if content is ARRAY else "this is CSV"]
    assert chunks[-1].end is SourceEnd.COMPLETE
    assert spool.is_empty


async def test_another_format_that_a_killed_process_kept_is_one_reject_and_the_next_input_is_read(
    tmp_path: Path,
) -> None:
    before = Spool(tmp_path, SCOPE, segment_size=4096)
    before.folder.mkdir(parents=True)
    for number in range(1, 4):
        inside = "" if number == 1 else "-inside"
        name = f"stdin-s{number:012}-of-{1:012}-line-{number * 1000 - 999}{inside}.jsonl"
        (before.folder / name).write_bytes(TABLE[number * 4000 - 4000 : number * 4000])
    spool = Spool(tmp_path, SCOPE)
    with piped(b"".join(LINES)):
        chunks = await read(read_sources([STANDARD_INPUT], SCOPE, spool))
    assert found(chunks) == ["this is CSV", "job 0", "job 1", "job 2", "job 3"]
    assert spool.is_empty


async def test_a_position_after_another_format_is_after_all_of_it(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCOPE)
    with piped(ARRAY):
        refusal, end = [chunk async for chunk in read_sources([STANDARD_INPUT], SCOPE, spool).chunks()]
    assert refusal.position == end.position
    assert refusal.position is not None
    again = read_sources([], SCOPE, Spool(tmp_path, SCOPE), {STANDARD_INPUT: refusal.position})
    assert found(await read(again)) == []


async def test_a_torn_first_line_that_was_kept_is_not_taken_for_another_format(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCOPE)
    spool.folder.mkdir(parents=True)
    line = b'{"run_name": "a", "tags": {"b": "c"}}\n'
    (spool.folder / f"stdin-s{1:012}-of-{1:012}-line-1.jsonl").write_bytes(line[:17])
    with piped(line[17:] + LINES[0]):
        chunks = await read(read_sources([STANDARD_INPUT], SCOPE, spool))
    [first, second] = [it for chunk in chunks for it in chunk.records]
    assert isinstance(first, Job)
    assert first.raw == line.rstrip()
    assert isinstance(second, Job)


class SlowPipe:
    """A pipe that is read as standard input while a test writes to it."""

    def __init__(self, writing: int, reader: Reader) -> None:
        self._writing = writing
        self._chunks = aiter(reader.chunks())
        self._next: asyncio.Task[Chunk] | None = None

    def write(self, content: bytes) -> None:
        os.write(self._writing, content)

    def end(self) -> None:
        os.close(self._writing)

    async def next(self) -> list[str]:
        return found([await anext(self._chunks)])


@asynccontextmanager
async def slow_pipe(reader_of: Reader) -> AsyncIterator[SlowPipe]:
    reading, writing = os.pipe()
    with standard_input(reading):
        os.close(reading)
        async with asyncio.timeout(30):
            yield SlowPipe(writing, reader_of)


@pytest.fixture(params=["kept", "not kept"])
def reader(request: pytest.FixtureRequest, tmp_path: Path) -> Reader:
    spool = Spool(tmp_path, SCOPE) if request.param == "kept" else None
    return read_sources([source_of(STDIN)], SCOPE, spool)


async def test_a_record_is_read_before_anything_else_comes(reader: Reader) -> None:
    async with slow_pipe(reader) as pipe:
        pipe.write(LINES[0][:5])
        pipe.write(LINES[0][5:])
        assert await pipe.next() == ["job 0"]
        pipe.write(LINES[1])
        assert await pipe.next() == ["job 1"]
        pipe.end()


async def test_a_record_after_a_bad_first_line_is_read_before_anything_else_comes(reader: Reader) -> None:
    async with slow_pipe(reader) as pipe:
        pipe.write(b"\nexport begins\n")
        pipe.write(LINES[0])
        assert await pipe.next() == ["not JSON", "job 0"]
        pipe.end()


async def test_a_bad_record_in_the_first_line_is_rejected_before_anything_else_comes(reader: Reader) -> None:
    async with slow_pipe(reader) as pipe:
        pipe.write(b'{"run_nam": "a"}\n')
        assert await pipe.next() == ["'run_nam'"]
        pipe.end()


async def test_another_format_that_comes_byte_by_byte_is_refused_without_waiting_for_its_end(reader: Reader) -> None:
    async with slow_pipe(reader) as pipe:
        for byte in b"job_id,run_name\na,b\nc,d\ne,f\n":
            pipe.write(bytes([byte]))
        assert await pipe.next() == ["this is CSV"]
        pipe.end()


async def test_a_beginning_of_another_format_is_judged_at_the_end_of_the_input(reader: Reader) -> None:
    async with slow_pipe(reader) as pipe:
        pipe.write(b"PAR1\x15")
        pipe.end()
        assert await pipe.next() == ["this is a Parquet file"]


async def test_advice_for_standard_input_names_no_file(reader: Reader) -> None:
    with piped(ARRAY):
        [reject] = [it async for chunk in reader.chunks() for it in chunk.records]
    assert isinstance(reject, Reject)
    command = "convert it with `… | jq -c '.[]' | ingestor run -` and the same settings"
    assert reject.reason.endswith(f"{command} (if jq finds an error, the data is damaged)")


async def test_an_empty_array_is_an_empty_input_that_is_not_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCOPE)
    with piped(b"[]\n"):
        chunks = await read(read_sources([STANDARD_INPUT], SCOPE, spool))
    assert (found(chunks), chunks[-1].end) == ([], SourceEnd.COMPLETE)
    assert spool.is_empty
    killed = Spool(tmp_path, SCOPE)
    killed.folder.mkdir(parents=True, exist_ok=True)
    (killed.folder / f"stdin-s{1:012}-of-{1:012}-line-1-end.jsonl").write_bytes(b"[\n]\n")
    with piped(LINES[0]):
        chunks = await read(read_sources([STANDARD_INPUT], SCOPE, killed))
    assert (found(chunks), killed.is_empty) == (["job 0"], True)
