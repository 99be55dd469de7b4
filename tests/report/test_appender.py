import asyncio
import os
import resource
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from ingestor.report.appender import BOUND, CHUNK, Appender, ReportError, ReportGivenUpError
from ingestor.report.output_file import STALL, LogFile, OutputFile, open_to_append
from tests.report.examples import Watch

NEVER = 3600.0


@asynccontextmanager
async def appending_to(fd: int, linger: float = NEVER) -> AsyncIterator[Appender]:
    appender = Appender(OutputFile(lambda: fd), what="The log x.jsonl", option="--log", linger=linger)
    try:
        yield appender
    finally:
        await asyncio.gather(appender.close(), return_exceptions=True)


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Make a pipe; the test, or what it passes it to, closes the writing end."""
    reader, writer = os.pipe()
    try:
        yield reader, writer
    finally:
        os.close(reader)


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    """Make the kernel refuse to make a file longer, as a full disk does: after part of the data was written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_every_line_is_in_the_file_in_order(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    lines = [b"line %d\n" % number for number in range(20_000)]
    async with appending_to(open_to_append(path), linger=0.0) as appender:
        for line in lines:
            appender.add(line)
    assert path.read_bytes() == b"".join(lines)


async def test_flush_does_not_wait_for_more_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    async with appending_to(open_to_append(path)) as appender:
        appender.add(b"one\n")
        await asyncio.wait_for(appender.flush(), 10)
        assert path.read_bytes() == b"one\n"


async def test_a_line_is_written_after_a_short_time_without_a_flush() -> None:
    with pipe() as (reader, writer):
        async with appending_to(writer, linger=0.01) as appender:
            appender.add(b"one\n")
            assert await asyncio.to_thread(os.read, reader, 100) == b"one\n"


async def test_many_lines_are_written_at_once() -> None:
    with pipe() as (reader, writer):
        async with appending_to(writer) as appender:
            for _ in range(CHUNK // 1024):
                appender.add(b"x" * 1023 + b"\n")
            assert await asyncio.to_thread(os.read, reader, 1024) == b"x" * 1023 + b"\n"


async def test_add_never_waits_and_ready_waits_for_a_slow_reader() -> None:
    with pipe() as (reader, writer):
        async with appending_to(writer) as appender:
            line = b"x" * (CHUNK - 1) + b"\n"
            for _ in range(2 * BOUND // CHUNK):
                appender.add(line)
            ready = asyncio.create_task(appender.ready())
            await asyncio.sleep(0)
            assert not ready.done()
            drain = asyncio.create_task(asyncio.to_thread(_drain, reader, 2 * BOUND))
            await asyncio.wait_for(ready, 10)
            await drain


async def test_ready_does_not_wait_while_little_is_unwritten() -> None:
    with pipe() as (_reader, writer):
        async with appending_to(writer) as appender:
            appender.add(b"one\n")
            await asyncio.wait_for(appender.ready(), 10)


async def test_every_call_after_a_failed_write_raises_it() -> None:
    async with appending_to(open_to_append(Path("/dev/full"))) as appender:
        appender.add(b"one\n")
        with pytest.raises(ReportError) as error:
            await appender.flush()
        appender.add(b"two\n")
        for method in (appender.ready, appender.flush, appender.close):
            with pytest.raises(ReportError):
                await method()
    assert str(error.value) == (
        "The log x.jsonl can't be written: No space left on device. Make it writable, or choose another with --log."
    )


async def test_a_disk_that_fills_in_the_middle_of_a_line_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"before\n")
    with files_no_longer_than(20):
        async with appending_to(open_to_append(path)) as appender:
            appender.add(b"first\n")
            appender.add(b"too long for the rest\n")
            with pytest.raises(ReportError, match="File too large"):
                await appender.flush()
    assert path.read_bytes() == b"before\nfirst\n"


async def test_synced_lines_are_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    async with appending_to(open_to_append(path)) as appender:
        appender.add(b"one\n")
        await appender.sync()
        assert path.read_bytes() == b"one\n"
    await appender.sync()


async def test_sync_only_writes_to_what_is_not_a_file(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        async with appending_to(writer) as appender:
            appender.add(b"one\n")
            await appender.sync()
            assert os.read(reader, 100) == b"one\n"


async def test_a_full_disk_fails_a_sync() -> None:
    async with appending_to(open_to_append(Path("/dev/full"))) as appender:
        appender.add(b"one\n")
        with pytest.raises(ReportError, match="No space left"):
            await appender.sync()


async def test_a_pipe_without_a_reader_is_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    async with appending_to(writer) as appender:
        appender.add(b"one\n")
        with pytest.raises(ReportError, match="Broken pipe"):
            await appender.flush()


async def test_a_failure_ends_the_wait_for_room() -> None:
    reader, writer = os.pipe()
    async with appending_to(writer) as appender:
        appender.add(b"x" * 2 * BOUND + b"\n")
        ready = asyncio.create_task(appender.ready())
        await asyncio.sleep(0)
        assert not ready.done()
        os.close(reader)
        with pytest.raises(ReportError, match="Broken pipe"):
            await asyncio.wait_for(ready, 10)


async def test_a_file_that_can_not_be_opened_is_an_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "file"
    appender = Appender(OutputFile(lambda: open_to_append(missing)), what="The log", option="--log")
    appender.add(b"one\n")
    with pytest.raises(ReportError, match="No such file or directory"):
        await appender.close()


async def test_a_file_without_lines_is_not_opened(tmp_path: Path) -> None:
    appender = Appender(OutputFile(lambda: open_to_append(tmp_path / "lines")), what="The log", option="--log")
    await appender.sync()
    await appender.close()
    assert not (tmp_path / "lines").exists()


async def test_a_full_non_blocking_output_is_waited_for() -> None:
    with pipe() as (reader, writer):
        os.set_blocking(writer, False)
        async with appending_to(writer) as appender:
            appender.add(b"x" * BOUND + b"\n")
            flushed = asyncio.create_task(appender.flush())
            assert await asyncio.to_thread(_drain, reader, BOUND + 1) == BOUND + 1
            await asyncio.wait_for(flushed, 10)


async def test_a_cancelled_wait_does_not_disturb_the_others(tmp_path: Path) -> None:
    with pipe() as (reader, writer):
        async with appending_to(writer) as appender:
            appender.add(b"x" * BOUND + b"\n")
            cancelled = asyncio.create_task(appender.flush())
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            other = asyncio.create_task(appender.flush())
            assert await asyncio.to_thread(_drain, reader, BOUND + 1) == BOUND + 1
            await asyncio.wait_for(other, 10)


async def test_close_ends_the_thread_and_can_be_repeated(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    async with appending_to(open_to_append(path)) as appender:
        appender.add(b"last\n")
        await appender.close()
        await appender.close()
        assert path.read_bytes() == b"last\n"
        appender._thread.join(10)
        assert appender._thread not in threading.enumerate()


def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    os.close(open_to_append(path))
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_incomplete_last_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"whole\nbroken o")
    for line in (b"one\n", b"two\n"):
        fd = open_to_append(path)
        os.write(fd, line)
        os.close(fd)
    assert path.read_bytes() == b"whole\nbroken o\none\ntwo\n"


def _drain(reader: int, count: int) -> int:
    done = 0
    while done < count:
        done += len(os.read(reader, CHUNK))
    return done


async def test_what_is_waited_for_is_named_and_can_be_given_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    clock = Watch(0.0)
    file = OutputFile(lambda: open_to_append(tmp_path / "fifo"), clock.now)
    appender = Appender(file, what="The log fifo", option="--log", linger=0.0)
    appender.add(b"one\n")
    flushed = asyncio.create_task(appender.flush())
    async with asyncio.timeout(10):
        while appender.waits_for() is None:
            clock.time += STALL
            await asyncio.sleep(0.001)
    assert appender.waits_for() == "The log fifo waits for a program that opens it to read"

    appender.give_up()
    for wait in (flushed, appender.ready(), appender.sync(), appender.close()):
        with pytest.raises(ReportGivenUpError, match="nothing took its lines"):
            await wait
    assert appender.waits_for() is None
    os.close(os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK))  # lets the thread end
    appender._thread.join(10)


async def test_nothing_is_waited_for_while_there_is_nothing_to_write(tmp_path: Path) -> None:
    async with appending_to(open_to_append(tmp_path / "lines")) as appender:
        appender.add(b"one\n")
        await appender.sync()
        assert appender.waits_for() is None


async def test_the_file_is_opened_anew_between_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    appender = Appender(LogFile(path), what="The log", option="--log", linger=NEVER)
    appender.add(b"one\n")
    await appender.flush()
    path.rename(tmp_path / "old")
    appender.reopen()
    appender.add(b"two\n")
    await appender.sync()
    await appender.close()
    assert ((tmp_path / "old").read_bytes(), path.read_bytes()) == (b"one\n", b"two\n")
