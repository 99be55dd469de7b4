"""Messages on standard error never fail, and wait for their reader only where nothing else is left to do."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ingestor.app.streams import last_messages, unfailing_messages
from ingestor.app.terminal import complain


@contextmanager
def standard_error_at(descriptor: int) -> Iterator[None]:
    before = sys.stderr
    sys.stderr = open(descriptor, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 - closed below
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, bytes(4096))
    except BlockingIOError:
        os.set_blocking(writer, True)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def test_a_full_disk_and_a_closed_terminal_cost_no_work() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    reader, closed = os.pipe()
    os.close(reader)
    for descriptor in (full, closed):
        with standard_error_at(descriptor), unfailing_messages():
            complain("a message")
        os.close(descriptor)


def test_a_message_that_nobody_takes_is_dropped_and_a_later_one_is_printed(full_pipe: tuple[int, int]) -> None:
    reader, writer = full_pipe
    with standard_error_at(writer), unfailing_messages():
        for _ in range(10):
            complain("nobody takes it")
        assert set(os.read(reader, 1 << 20)) == {0}, "no message is among what filled the pipe"
        complain("somebody reads")
        assert os.read(reader, 100) == b"ingestor: somebody reads\n"


def test_the_last_message_waits_for_its_reader(full_pipe: tuple[int, int]) -> None:
    reader, writer = full_pipe
    with standard_error_at(writer), unfailing_messages(), last_messages():
        taking = threading.Thread(target=_read_until, args=(reader, b"the summary\n"))
        taking.start()
        complain("the summary")
        taking.join(10)
        assert not taking.is_alive()


def _read_until(reader: int, end: bytes) -> None:
    while not os.read(reader, 65536).endswith(end):
        pass
