"""The port Input over followed files: its thread, its end, and what it does while nobody takes its records."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from ingestor.model.sources import Checkpoint, Chunk
from ingestor.sources.follow.followed_files import FollowedFiles
from tests.sources.follow.followed import append, name_of, record, records
from tests.support.records import SCOPE

POLL = 0.01


def follow(*sources: Path, **options: float) -> FollowedFiles:
    return FollowedFiles([str(it) for it in sources], SCOPE, [], poll=POLL, **options)  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - a thread makes it true
            await asyncio.sleep(0.002)


async def keys(chunks: AsyncIterator[Chunk], count: int) -> list[str]:
    found = list[str]()
    async with asyncio.timeout(30):
        while len(found) < count:
            found += [name_of(it) for it in (await anext(chunks)).records]
    return found


async def test_it_waits_for_more_until_it_is_finished(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    source = follow(log)
    chunks = aiter(source.chunks())
    append(log, records("a"))
    assert await keys(chunks, 1) == ["a"]
    append(log, records("b", "c") + record("d")[:-1])
    source.finish()
    found = [name_of(it) async for chunk in chunks for it in chunk.records]
    assert found == ["b", "c", "d"]
    assert source.read_bytes > 0


async def test_while_the_rest_is_read_the_lag_shrinks_and_at_the_end_nothing_is_unread(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    append(log, records(*range(5000), size=400))
    source = FollowedFiles([str(log)], SCOPE, [], poll=0.0)
    source.finish()
    lags = [source.lag().unread_bytes async for _ in source.chunks()]
    assert len(set(lags)) > 5
    assert source.lag().unread_bytes == 0


async def test_while_something_is_written_the_looks_are_quicker_than_those_at_what_is_idle(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    append(log, records("a"))
    source = FollowedFiles([str(log)], SCOPE, [], poll=3600.0)
    chunks = aiter(source.chunks())
    assert await keys(chunks, 1) == ["a"]
    append(log, records("b"))
    assert await keys(chunks, 1) == ["b"]
    source.stop()


async def test_under_back_pressure_new_files_are_found_and_rotated_ones_stay_open(tmp_path: Path) -> None:
    log, held = tmp_path / "app.log", list[int]()
    append(log, records(*range(20_000), size=400))
    source = follow(tmp_path / "app.log", tmp_path / "small")
    chunks = aiter(source.chunks())
    taken = await anext(chunks)
    for number in range(3):  # nothing is taken meanwhile
        before = source.lag().held_files
        log.rename(tmp_path / "rotated")
        append(log, record(f"generation-{number}"))
        await until(lambda: source.lag().held_files > before)  # noqa: B023 - called in this turn only
        (tmp_path / "rotated").unlink()
        held.append(source.lag().held_files)
    (tmp_path / "small").mkdir()
    for number in range(50):
        append(tmp_path / "small" / f"{number}.jsonl", record(f"small-{number}"))
    await until(lambda: source.lag().unread_bytes > 0 and len(source.lag().files) == 54)  # type: ignore[operator]
    assert held == [1, 2, 3]

    before_small, small = len(taken.records), set[str]()
    async for chunk in chunks:
        names = [name_of(it) for it in chunk.records]
        small |= {name for name in names if name.startswith("small")}
        before_small += 0 if len(small) == 50 else len(names)
        if len(small) == 50 and "19999" in names:
            break
    assert before_small < 3000, "the buffers, and one turn of each other file"
    source.stop()


async def test_a_file_is_registered_before_its_first_record_is_passed_on(tmp_path: Path) -> None:
    registered: list[Checkpoint] = []

    async def register(new: object) -> None:
        assert isinstance(new, list)
        registered.extend(new)

    append(tmp_path / "a.jsonl", records("a"))
    source = FollowedFiles([str(tmp_path)], SCOPE, [], poll=POLL, register=register)
    async for chunk in source.chunks():
        assert [it.source for it in registered] == [chunk.source]
        source.stop()


async def test_a_file_is_done_once_all_of_it_is_durable_and_it_was_quiet(tmp_path: Path) -> None:
    append(tmp_path / "a.jsonl", records("a"))
    append(tmp_path / "b.jsonl", records("b"))
    source = follow(tmp_path, done_after=0.05)
    chunks = aiter(source.chunks())
    for _ in range(2):
        chunk = await anext(chunks)
        assert chunk.source is not None
        if chunk.source.name.endswith("b.jsonl"):
            await source.acknowledge([Checkpoint(chunk.source, chunk.position)])
    done = await asyncio.wait_for(source.done.get(), 30)
    assert done.path == str(tmp_path / "b.jsonl")
    await asyncio.sleep(0.1)
    assert source.done.empty()
    source.stop()


async def test_an_input_that_is_stopped_before_it_began_yields_nothing(tmp_path: Path) -> None:
    append(tmp_path / "a.jsonl", records("a"))
    source = follow(tmp_path)
    source.stop()
    assert [chunk async for chunk in source.chunks()] == []


async def test_one_that_is_finished_before_it_began_reads_what_is_there(tmp_path: Path) -> None:
    append(tmp_path / "a.jsonl", records("a"))
    source = follow(tmp_path)
    source.finish()
    assert [name_of(it) async for chunk in source.chunks() for it in chunk.records] == ["a"]
