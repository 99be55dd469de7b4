"""Where records are in the input: the total of all records is estimated from it."""

import json
import random
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

from ingestor.model.events import InputRead
from ingestor.model.sources import Chunk
from ingestor.report.total import TotalEstimate
from ingestor.sources.file_source import FileSource
from ingestor.sources.locate import locate, source_of
from ingestor.sources.reader import Reader, read_sources
from ingestor.sources.spool import Spool
from tests.sources.standard_input import standard_input
from tests.sources.test_file_source import PACKS
from tests.support.records import SCOPE

CHANCE = random.Random(7)
LINES = [
    json.dumps({"job_id": f"job-{number}", "run_name": CHANCE.randbytes(CHANCE.randint(1, 200)).hex()}).encode() + b"\n"
    for number in range(4_000)
]
CONTENT = b"".join(LINES)


def extents(chunks: Iterable[Chunk]) -> list[tuple[int, int]]:
    found = [chunk.extent for chunk in chunks]
    return [extent for extent in found if extent is not None]


def write(path: Path, content: bytes = CONTENT) -> Path:
    path.write_bytes(PACKS[path.suffix if path.suffix != ".jsonl" else ""](content))
    return path


async def chunks_of(reader: Reader) -> list[Chunk]:
    return [chunk async for chunk in reader.chunks()]


def assert_they_cover(found: list[tuple[int, int]], begin: int, end: int) -> None:
    assert (found[0][0], found[-1][1]) == (begin, end)
    assert all(one[1] == next_[0] for one, next_ in pairwise(found))


@pytest.mark.parametrize("suffix", PACKS)
def test_the_extents_of_chunks_cover_the_stored_file_without_gaps(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"runs.jsonl{suffix}")
    chunks = list(FileSource(source_of(str(path)), SCOPE).read())
    assert_they_cover(extents(chunks), 0, path.stat().st_size)


def test_in_a_plain_file_an_extent_is_that_of_the_lines_to_the_byte(tmp_path: Path) -> None:
    path = write(tmp_path / "runs.jsonl")
    lines = iter(LINES)
    for chunk in FileSource(source_of(str(path)), SCOPE).read():
        assert chunk.extent is not None
        begin, end = chunk.extent
        assert end - begin == sum(len(next(lines)) for _ in chunk.records)


@pytest.mark.parametrize("suffix", PACKS)
def test_a_reading_that_continues_begins_where_the_last_one_stopped(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"runs.jsonl{suffix}")
    chunks = list(FileSource(source_of(str(path)), SCOPE).read())
    middle = chunks[len(chunks) // 2]
    rest = extents(FileSource(source_of(str(path)), SCOPE).read(middle.position))
    assert_they_cover(rest, rest[0][0], path.stat().st_size)
    assert middle.extent is not None
    assert rest[0][0] == pytest.approx(middle.extent[1], abs=0.02 * path.stat().st_size)


async def test_the_extents_of_several_files_follow_each_other_without_the_rest_of_a_damaged_one(
    tmp_path: Path,
) -> None:
    paths = [write(tmp_path / name) for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.jsonl")]
    damaged = paths[1].read_bytes()
    paths[1].write_bytes(damaged[:100_000] + b"damage" + damaged[100_006:])
    reader = read_sources(locate([str(path) for path in paths]).sources, SCOPE)
    found = extents(await chunks_of(reader))
    assert_they_cover(found, 0, reader.read_bytes)
    assert 3 * len(CONTENT) < found[-1][1] < 4 * len(CONTENT)
    assert reader.total_bytes == reader.read_bytes


async def test_the_extents_of_kept_standard_input_cover_it(tmp_path: Path) -> None:
    with write(tmp_path / "runs.jsonl").open("rb") as file, standard_input(file.fileno()):
        await chunks_of(read_sources([source_of("-")], SCOPE, Spool(tmp_path, SCOPE)))
    reader = read_sources([], SCOPE, Spool(tmp_path, SCOPE))
    assert_they_cover(extents(await chunks_of(reader)), 0, len(CONTENT))


async def totals_of(path: Path) -> list[int | None]:
    """Read all, and return the total that is shown after each chunk."""
    reader = read_sources(locate([str(path)]).sources, SCOPE)
    estimate, totals = TotalEstimate(), list[int | None]()
    async for chunk in reader.chunks():
        estimate.read(InputRead.of(chunk, chunk.extent[1] if chunk.extent else 0, reader.total_bytes))
        totals.append(estimate.total)
    return totals


STEADY = [it for it in PACKS if it != ".bz2"]
"""bzip2 decompresses 900 kB at once: of a file of a few blocks, it is not known how far it is read."""


@pytest.mark.parametrize("suffix", STEADY)
async def test_the_total_is_about_right_from_the_beginning_and_steady(tmp_path: Path, suffix: str) -> None:
    totals = await totals_of(write(tmp_path / f"runs.jsonl{suffix}"))
    assert all(total is not None and abs(total - len(LINES)) <= 0.15 * len(LINES) for total in totals)
    assert len(set(totals)) <= 3
    assert totals[-1] == len(LINES)


SMALL = [b'{"job_id": "%d", "run_name": "%s"}\n' % (number, b"baseline " * 20) for number in range(5_000)]


@pytest.mark.parametrize("order", ["compressed first", "plain first", "mixed"])
async def test_the_total_of_plain_and_compressed_files_is_steady_once_it_is_shown(tmp_path: Path, order: str) -> None:
    suffixes = [".gz"] * 12 + [""] * 8 + [".bz2"] * 4
    if order == "plain first":
        suffixes.reverse()
    if order == "mixed":
        random.Random(3).shuffle(suffixes)
    for number, suffix in enumerate(suffixes):
        write(tmp_path / f"{number:02}.jsonl{suffix}", b"".join(SMALL))
    totals = await totals_of(tmp_path)
    shown = [total for total in totals if total is not None]
    records = len(SMALL) * len(suffixes)
    assert len(shown) > len(totals) / 4
    assert all(abs(total - records) <= 0.2 * records for total in shown)
    assert len(set(shown)) <= 3
    assert shown[-1] == records
