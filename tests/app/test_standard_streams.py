"""Messages on standard error never fail, and wait for their reader only where nothing else is left to do."""

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ingestor.app.messages import complain, print_result
from ingestor.app.standard_streams import last_messages, unfailing_messages


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


@pytest.fixture
def descriptor_to() -> Iterator[Callable[[str], int]]:
    opened: list[int] = []

    def open_one(name: str) -> int:
        opened.append(os.open(name, os.O_RDONLY if name == os.devnull else os.O_WRONLY))
        return opened[-1]

    yield open_one
    for descriptor in opened:
        os.close(descriptor)


@pytest.mark.parametrize(
    ("output", "reason"),
    [("/dev/full", "standard output: No space left on device"), (os.devnull, "standard output is closed")],
    ids=["full", "closed"],
)
def test_a_result_that_standard_output_does_not_take_is_on_standard_error(
    descriptor_to: Callable[[str], int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
    reason: str,
) -> None:
    with open(descriptor_to(output), "w", encoding="utf-8", closefd=False) as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        print_result("3 are forgotten")
        assert stdout.write("the rest fails no more")
        stdout.flush()
        assert capsys.readouterr().err == f"ingestor: the result can't be written: {reason}\n3 are forgotten\n"


def test_a_reader_who_has_closed_the_output_has_enough(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        print_result("3 are forgotten")
    assert capsys.readouterr().err == ""


def test_closed_outputs_take_their_descriptors_and_only_messages_are_dropped() -> None:
    program = """
        import os, sys
        from ingestor.app.standard_streams import open_closed_streams
        open_closed_streams()
        print("dropped", file=sys.stderr, flush=True)
        assert os.open(os.devnull, os.O_RDONLY) > 2
        try:
            print("lost", flush=True)
        except OSError:
            os._exit(7)
    """
    words = ("sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", textwrap.dedent(program))
    assert subprocess.run(words, check=False).returncode == 7


def _read_until(reader: int, end: bytes) -> None:
    while not os.read(reader, 65536).endswith(end):
        pass
