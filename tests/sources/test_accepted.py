"""Records of requests are an input like any other: durable before the answer, read at once, ended by `finish`."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from ingestor.model.acceptance import NotAcceptedError, Refusal
from ingestor.model.lag import FileLag, FileState, InputLag, together
from ingestor.model.sources import Checkpoint, Chunk, SourceEnd
from ingestor.sources.accepted import AcceptedRecords
from ingestor.sources.accepted_spool import ACCEPTED_RECORDS, AcceptedSpool
from tests.sources.standard_input import texts
from tests.support.records import SCOPE

NEVER = 3600.0


def line(number: int) -> bytes:
    return b'{"job_id":"job %03d"}' % number


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("accepted-*.jsonl"))


class GatedSpool(AcceptedSpool):
    """A spool whose disk is slow until `open` is set. It counts how many blocks were written together."""

    def __init__(self, state: Path) -> None:
        super().__init__(state, SCOPE)
        self.loop = asyncio.get_running_loop()
        self.open = asyncio.Event()
        self.groups: list[int] = []

    def write(self, blocks: Sequence[bytes]) -> None:
        asyncio.run_coroutine_threadsafe(self.open.wait(), self.loop).result()
        self.groups.append(len(blocks))
        super().write(blocks)


@pytest.fixture
async def accepted(tmp_path: Path) -> AsyncIterator[AcceptedRecords]:
    accepted = AcceptedRecords(AcceptedSpool(tmp_path, SCOPE), SCOPE, silence=NEVER, last_uploads=0.05)
    async with asyncio.timeout(30):
        yield accepted


async def send(accepted: AcceptedRecords, body: bytes) -> int:
    async with accepted.receiving(NEVER):
        return len((await accepted.accept(body)).lines)


async def refused(accepted: AcceptedRecords) -> Refusal:
    with pytest.raises(NotAcceptedError) as error:
        await send(accepted, line(99))
    return error.value.refusal


async def test_records_are_on_disk_before_the_answer_and_are_read_at_once(
    accepted: AcceptedRecords, tmp_path: Path
) -> None:
    chunks = aiter(accepted.chunks())
    waiting = asyncio.ensure_future(anext(chunks))
    assert await send(accepted, line(1) + b"\nno record\n" + line(2)) == 2
    assert files(tmp_path)[0].read_bytes() == line(1) + b"\n" + line(2) + b"\n"
    assert texts([await waiting]) == [line(1), line(2)]
    accepted.stop()
    assert [chunk async for chunk in chunks] == []


async def test_requests_of_the_same_time_wait_for_the_disk_together(tmp_path: Path) -> None:
    spool = GatedSpool(tmp_path)
    accepted = AcceptedRecords(spool, SCOPE)
    sending = [asyncio.create_task(send(accepted, line(number))) for number in range(20)]
    for _ in range(100):
        await asyncio.sleep(0)
    assert not any(task.done() for task in sending)
    spool.open.set()
    assert await asyncio.gather(*sending) == [1] * 20
    assert spool.groups == [20]


async def test_a_client_that_goes_away_costs_no_other_one(tmp_path: Path) -> None:
    spool = GatedSpool(tmp_path)
    accepted = AcceptedRecords(spool, SCOPE)
    first, second = (asyncio.create_task(send(accepted, line(number))) for number in range(2))
    for _ in range(100):
        await asyncio.sleep(0)
    first.cancel()
    spool.open.set()
    assert await second == 1
    accepted.finish()
    assert texts([chunk async for chunk in accepted.chunks()]) == [line(0), line(1)]


async def test_a_large_body_is_parsed_beside_the_loop(accepted: AcceptedRecords) -> None:
    body = b"\n".join(map(line, range(20_000)))
    turns = 0
    sending = asyncio.create_task(send(accepted, body))
    while not sending.done():
        await asyncio.sleep(0)
        turns += 1
    assert await sending == 20_000
    assert turns > 5


async def test_what_was_kept_comes_first_and_then_what_is_sent(accepted: AcceptedRecords, tmp_path: Path) -> None:
    await send(accepted, line(1))
    accepted.stop()
    later = AcceptedRecords(AcceptedSpool(tmp_path, SCOPE), SCOPE)
    await send(later, line(2))
    later.finish()
    found = [chunk async for chunk in later.chunks()]
    assert texts(found) == [line(1), line(2)]
    assert found[-1].end is SourceEnd.COMPLETE


async def test_to_finish_ends_the_input_after_all_that_was_sent(accepted: AcceptedRecords) -> None:
    await send(accepted, line(1))
    accepted.finish()
    accepted.finish()
    assert await refused(accepted) is Refusal.CLOSED
    found = [chunk async for chunk in accepted.chunks()]
    assert texts(found) == [line(1)]
    assert [chunk.end for chunk in found] == [None, SourceEnd.COMPLETE]
    assert found[-1].position == found[0].position


async def test_a_request_that_began_before_the_end_is_read(accepted: AcceptedRecords) -> None:
    async with accepted.receiving(NEVER):
        accepted.finish()
        reading = asyncio.ensure_future(_all(accepted))
        for _ in range(100):
            await asyncio.sleep(0)
        await accepted.accept(line(1))
    assert texts(await reading) == [line(1)]


async def _all(accepted: AcceptedRecords) -> list[Chunk]:
    return [chunk async for chunk in accepted.chunks()]


async def test_a_request_that_does_not_end_delays_the_end_for_a_short_time_only(accepted: AcceptedRecords) -> None:
    async def never_end() -> None:
        async with accepted.receiving(NEVER):
            await asyncio.Event().wait()

    sending = asyncio.ensure_future(never_end())
    await asyncio.sleep(0)
    accepted.finish()
    assert [chunk.end for chunk in await _all(accepted)] == [SourceEnd.COMPLETE]
    with pytest.raises(TimeoutError):
        await sending


async def test_a_request_takes_a_bounded_time(accepted: AcceptedRecords) -> None:
    with pytest.raises(TimeoutError):
        async with accepted.receiving(0.01):
            await asyncio.Event().wait()


async def test_a_stop_ends_the_input_at_once_and_what_was_sent_stays(accepted: AcceptedRecords, tmp_path: Path) -> None:
    await send(accepted, line(1))
    accepted.stop()
    assert await refused(accepted) is Refusal.CLOSED
    assert await _all(accepted) == []
    assert len(files(tmp_path)) == 1


async def test_nothing_is_accepted_while_too_much_is_not_done(tmp_path: Path) -> None:
    accepted = AcceptedRecords(AcceptedSpool(tmp_path, SCOPE), SCOPE, most_unfinished=2 * len(line(0)))
    chunks = aiter(accepted.chunks())
    await send(accepted, line(1))
    first = await anext(chunks)
    await send(accepted, line(2))
    assert await refused(accepted) is Refusal.BUSY
    await accepted.acknowledge([Checkpoint(ACCEPTED_RECORDS, first.position)])
    assert await send(accepted, line(3)) == 1
    accepted.stop()
    assert [chunk async for chunk in chunks] == []


async def test_a_full_disk_is_named_to_the_client_and_to_the_user(tmp_path: Path) -> None:
    accepted = AcceptedRecords(AcceptedSpool(tmp_path, SCOPE, reserve=2**60), SCOPE)
    assert accepted.waits_for() == []
    assert await refused(accepted) is Refusal.NO_SPACE
    (sentence,) = accepted.waits_for()
    assert sentence.endswith(": No space left on device")


async def test_a_state_directory_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file in the place of the folder")
    accepted = AcceptedRecords(AcceptedSpool(tmp_path, SCOPE), SCOPE)
    assert await refused(accepted) is Refusal.NOT_KEPT
    (tmp_path / "spool").unlink()
    assert await send(accepted, line(1)) == 1
    assert accepted.waits_for() == []


async def test_what_is_accepted_and_not_read_is_its_lag(accepted: AcceptedRecords) -> None:
    assert (accepted.lag().unread_bytes, accepted.lag().waiting_since) == (0, None)
    began = time.time()
    await send(accepted, line(1))
    await send(accepted, line(2))
    lag = accepted.lag()
    assert lag.unread_bytes == 2 * (len(line(1)) + 1)
    assert began <= (lag.waiting_since or 0) <= time.time()
    assert [(it.name, it.state, it.size) for it in lag.files] == [("POST /runs", FileState.READING, lag.unread_bytes)]
    await anext(aiter(accepted.chunks()))
    assert (accepted.lag().unread_bytes, accepted.lag().waiting_since) == (0, None)


def test_the_lags_of_inputs_that_are_read_at_the_same_time_add_up() -> None:
    file = FileLag(name="a", state=FileState.WAITING)
    one = InputLag(unread_bytes=5, waiting_since=20.0, files=[file] * 80, other_files=3, held_files=1, held_bytes=7)
    other = InputLag(unread_bytes=6, waiting_since=10.0, files=[file] * 30)
    assert together([one, other]) == InputLag(
        unread_bytes=11, waiting_since=10.0, files=[file] * 100, other_files=13, held_files=1, held_bytes=7
    )
    assert together([one, InputLag()]).unread_bytes is None
    assert together([InputLag(unread_bytes=0)]) == InputLag(unread_bytes=0, files=[])


async def test_in_a_silence_nothing_is_kept_of_what_is_done(tmp_path: Path) -> None:
    accepted = AcceptedRecords(AcceptedSpool(tmp_path, SCOPE), SCOPE, silence=0)
    chunks = aiter(accepted.chunks())
    for number in range(3):
        await send(accepted, line(number))
        chunk = await anext(chunks)
        assert texts([chunk]) == [line(number)]
        await accepted.acknowledge([Checkpoint(ACCEPTED_RECORDS, chunk.position)])
        waiting = asyncio.ensure_future(anext(chunks))
        async with asyncio.timeout(30):
            while files(tmp_path):  # noqa: ASYNC110 - a thread deletes it
                await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        accepted = AcceptedRecords(AcceptedSpool(tmp_path, SCOPE, chunk.position), SCOPE, silence=0)
        chunks = aiter(accepted.chunks())


async def test_a_request_that_is_too_late_while_its_records_are_written_is_answered_with_what_was_done(
    tmp_path: Path,
) -> None:
    spool = GatedSpool(tmp_path)
    accepted = AcceptedRecords(spool, SCOPE)

    async def send_late(number: int) -> int:
        async with accepted.receiving(0.02):
            return len((await accepted.accept(line(number))).lines)

    written = asyncio.create_task(send_late(1))
    for _ in range(100):
        await asyncio.sleep(0)
    waiting = asyncio.create_task(send_late(2))
    with pytest.raises(TimeoutError):
        await waiting
    spool.open.set()
    assert await written == 1
    accepted.finish()
    assert texts(await _all(accepted)) == [line(1)]


async def test_the_end_may_come_at_the_moment_at_which_a_request_becomes_too_late(accepted: AcceptedRecords) -> None:
    async def be_late() -> None:
        async with accepted.receiving(0.0):
            await asyncio.Event().wait()

    sending = asyncio.create_task(be_late())
    for _ in range(2):  # now its time is over, and it does not know yet
        await asyncio.sleep(0)
    accepted.finish()
    assert not sending.done()
    with pytest.raises(TimeoutError):
        await sending
    assert [chunk.end for chunk in await _all(accepted)] == [SourceEnd.COMPLETE]
