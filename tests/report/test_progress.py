import asyncio
import io
import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from math import inf
from typing import TextIO

import pytest

from ingestor.model.events import BatchPaused, BatchResumed, Event
from ingestor.report.metrics import Metrics, Snapshot
from ingestor.report.progress import (
    FIRST_LINE,
    INTERVAL,
    LONG_PAUSE,
    Display,
    Mode,
    PlainLines,
    Progress,
    describe,
)
from tests.report.examples import Watch, attempt, created, read

HIDE_CURSOR = "\x1b[?25l"
SHOW_CURSOR = "\x1b[?25h"


class Terminal:
    """A real terminal, and what reached it."""

    def __init__(self) -> None:
        self._master, slave = pty.openpty()
        self.stream: TextIO = os.fdopen(slave, "w")
        self._output = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with suppress(OSError):  # Linux: the other side is closed
            while data := os.read(self._master, 1024):
                self._output += data

    def output(self) -> str:
        """Close the terminal and return what was written to it."""
        self.stream.close()
        self._reader.join()
        return self._output.decode()

    def close(self) -> None:
        self.output()
        os.close(self._master)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    terminal = Terminal()
    yield terminal
    terminal.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


def metrics_of(watch: Watch, *events: Event) -> Metrics:
    metrics = Metrics(watch)
    watch.time += 1.0
    for event in events:
        metrics.emit(event)
    return metrics


HALFWAY: tuple[Event, ...] = (read(600, 60, 100), *[created()] * 500, *[attempt(throttled=True)] * 3)


class DatedStream(io.StringIO):
    """A stream that notes at which second of the watch each line was written, from its first second on."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self._watch, self._began = watch, watch.time
        self.times: list[float] = []

    def write(self, text: str) -> int:
        self.times.append(self._watch.time - self._began)
        return super().write(text)


async def watch_batch(
    stream: TextIO, mode: Mode, metrics: Metrics, watch: Watch, *, updates: int = 1, seconds: float = 0.0
) -> list[float]:
    """Let progress show so many updates, each of which takes `seconds` on the watch; then end it as a batch does.

    Returns the times that it slept between updates.
    """
    slept: list[float] = []
    enough = asyncio.Event()

    async def sleep(interval: float) -> None:
        slept.append(interval)
        watch.time += seconds
        if len(slept) == updates:
            enough.set()
            await asyncio.Event().wait()

    progress = Progress.on(stream, mode, metrics, watch, sleep)
    task = asyncio.create_task(progress.run())
    await enough.wait()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    progress.close()
    progress.close()
    return slept


async def test_a_terminal_gets_a_bar_with_its_figures(terminal: Terminal, watch: Watch) -> None:
    await watch_batch(terminal.stream, Mode.AUTO, metrics_of(watch, *HALFWAY), watch, updates=2)
    output = terminal.output()
    assert "50%" in output
    assert "500 of about 1,000 records, 500/s, 429s 3, 1.0 s left" in output


async def test_the_cursor_is_shown_again_when_the_batch_is_interrupted(terminal: Terminal, watch: Watch) -> None:
    await watch_batch(terminal.stream, Mode.AUTO, metrics_of(watch, *HALFWAY), watch)
    output = terminal.output()
    assert 0 <= output.find(HIDE_CURSOR) < output.rfind(SHOW_CURSOR)
    assert output.rfind(HIDE_CURSOR) < output.rfind(SHOW_CURSOR)


async def test_the_bar_stays_on_one_line_of_a_narrow_terminal(
    terminal: Terminal, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    await watch_batch(terminal.stream, Mode.ON, metrics_of(watch, *HALFWAY), watch, updates=3)
    output = terminal.output()
    assert output.count("\n") == 1
    assert "500 of" in output


async def test_a_bar_of_unknown_length_claims_no_percentage(terminal: Terminal, watch: Watch) -> None:
    metrics = metrics_of(watch, read(600, 60, None), created())
    await watch_batch(terminal.stream, Mode.ON, metrics, watch)
    output = terminal.output()
    assert "1 record," in output
    assert "%" not in output


async def test_a_pause_is_shown_and_the_text_that_it_quotes_is_escaped(terminal: Terminal, watch: Watch) -> None:
    hostile = "[bold]wait[/bold] \x1b]0;owned\x07 \x1b[2J"
    metrics = metrics_of(watch, *HALFWAY, BatchPaused(hostile, 30.0))
    await watch_batch(terminal.stream, Mode.ON, metrics, watch)
    output = terminal.output()
    assert "paused for 30.0 s: [bold]wait[/bold] \\x1b]0;owned" in output
    assert "\x1b]0" not in output
    assert "\x1b[2J" not in output


async def test_the_end_is_shown_once_when_it_is_closed_twice(terminal: Terminal, watch: Watch) -> None:
    await watch_batch(terminal.stream, Mode.AUTO, metrics_of(watch, *HALFWAY), watch)
    assert terminal.output().count(SHOW_CURSOR) == 1


@pytest.mark.parametrize("name", ["dumb", ""])
async def test_a_dumb_terminal_gets_plain_lines(
    terminal: Terminal, watch: Watch, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("TERM", name)
    await watch_batch(terminal.stream, Mode.AUTO, metrics_of(watch, *HALFWAY), watch)
    assert terminal.output().startswith("progress: 500 of")


async def test_a_bar_has_no_colours_where_nobody_wants_them(
    terminal: Terminal, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    await watch_batch(terminal.stream, Mode.AUTO, metrics_of(watch, *HALFWAY), watch, updates=2)
    output = terminal.output()
    assert "50%" in output
    assert not re.findall(r"\x1b\[[0-9;]*m", output.replace("\x1b[0m", ""))


async def test_a_terminal_of_a_build_server_gets_plain_lines(
    terminal: Terminal, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    await watch_batch(terminal.stream, Mode.AUTO, metrics_of(watch, *HALFWAY), watch)
    assert terminal.output().startswith("progress: 500 of")


async def test_it_updates_no_more_than_four_times_a_second(watch: Watch) -> None:
    slept = await watch_batch(io.StringIO(), Mode.AUTO, Metrics(watch), watch, updates=5, seconds=INTERVAL)
    assert slept == [0.25] * 5


async def test_elsewhere_on_prints_a_plain_line_every_ten_seconds_and_at_the_end(watch: Watch) -> None:
    stream = io.StringIO()
    await watch_batch(stream, Mode.ON, metrics_of(watch, *HALFWAY), watch, updates=36, seconds=1.0)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 4
    assert lines[0] == "progress: 500 of about 1,000 records, 0.0/s, 429s 3"


async def test_elsewhere_auto_prints_a_line_after_10_s_1_5_10_and_30_minutes_each_further_half_hour_and_at_the_end(
    watch: Watch,
) -> None:
    metrics = metrics_of(watch, *HALFWAY)
    stream = DatedStream(watch)
    await watch_batch(stream, Mode.AUTO, metrics, watch, updates=7300, seconds=1.0)
    assert [seconds / 60 for seconds in stream.times] == pytest.approx([1 / 6, 1, 5, 10, 30, 60, 90, 120, 7300 / 60])


async def test_a_long_pause_has_a_line_at_once_with_how_long_and_why(watch: Watch) -> None:
    stream = io.StringIO()
    metrics = metrics_of(watch, *HALFWAY, BatchPaused("429 TooManyRequests: daily quota\x1b[2J used up", 90.0))
    await watch_batch(stream, Mode.AUTO, metrics, watch, updates=4)
    first, last = stream.getvalue().splitlines()
    assert first == last
    assert first == (
        "progress: paused for 1 min 30 s: 429 TooManyRequests: daily quota\\x1b[2J used up; "
        "500 of about 1,000 records, 429s 3"
    )


async def test_a_short_pause_has_no_line_of_its_own(watch: Watch) -> None:
    stream = io.StringIO()
    metrics = metrics_of(watch, *HALFWAY, BatchPaused("429", LONG_PAUSE - 0.1))
    await watch_batch(stream, Mode.AUTO, metrics, watch, updates=4)
    assert len(stream.getvalue().splitlines()) == 1


async def test_the_end_of_a_pause_that_was_told_of_has_a_line_at_once(watch: Watch) -> None:
    stream, metrics = io.StringIO(), metrics_of(watch, *HALFWAY)
    lines = PlainLines(stream, watch, times=count(1000.0))
    metrics.emit(BatchPaused("maintenance", 60.0))
    lines.show(metrics.snapshot())
    watch.time += FIRST_LINE
    lines.show(metrics.snapshot())
    metrics.emit(BatchResumed("maintenance"))
    for _ in range(3):
        lines.show(metrics.snapshot())
        watch.time += FIRST_LINE
    first, second = stream.getvalue().splitlines()
    assert first.startswith("progress: paused for 1 min 00 s: maintenance; ")
    assert second.startswith("progress: 500 of about 1,000 records")


async def test_a_pause_without_an_end_claims_no_time(watch: Watch) -> None:
    metrics = metrics_of(watch, *HALFWAY, BatchPaused("the daily quota is used up", inf))
    assert describe(metrics.snapshot()).startswith("paused: the daily quota is used up; 500 of")


async def test_pauses_whose_reasons_are_all_different_do_not_fill_the_screen(watch: Watch) -> None:
    stream, metrics = io.StringIO(), metrics_of(watch, *HALFWAY)
    lines = PlainLines(stream, watch, times=count(FIRST_LINE, FIRST_LINE))
    for number in range(500):
        metrics.emit(BatchPaused(f"request {number} was refused", 60.0))
        lines.show(metrics.snapshot())
        watch.time += 0.1
        metrics.emit(BatchResumed(f"request {number} was refused"))
    assert len(stream.getvalue().splitlines()) <= 50 / FIRST_LINE + 3


async def test_a_pause_that_is_over_and_not_resumed_yet_claims_no_time(watch: Watch) -> None:
    metrics = metrics_of(watch, *HALFWAY, BatchPaused("429", 30.0))
    watch.time += 40.0
    assert describe(metrics.snapshot()).startswith("paused, about to continue: 429; 500 of")


async def test_a_total_is_called_exact_once_everything_is_read(watch: Watch) -> None:
    stream = io.StringIO()
    await watch_batch(stream, Mode.ON, metrics_of(watch, read(600, 100, 100), *[created()] * 500), watch)
    assert stream.getvalue() == "progress: 500 of 600 records, 500/s, 429s 0, 0.2 s left\n"


async def test_where_a_command_prints_lines_a_short_one_has_no_progress(watch: Watch) -> None:
    stream = io.StringIO()
    async with Progress.with_lines(stream, Mode.AUTO, metrics_of(watch, *HALFWAY), watch).shown():
        await asyncio.sleep(0)
    assert stream.getvalue() == ""


async def test_where_a_command_prints_lines_a_long_one_has_plain_lines_also_on_a_terminal(
    terminal: Terminal, watch: Watch
) -> None:
    progress = Progress.with_lines(terminal.stream, Mode.AUTO, metrics_of(watch, *HALFWAY), watch)
    watch.time += FIRST_LINE
    progress._show(progress._metrics.snapshot())
    progress.close()
    lines = terminal.output().splitlines()
    assert [line.startswith("progress: 500 of about 1,000 records") for line in lines] == [True, True]


async def test_plain_lines_go_through_a_pipe_at_once(watch: Watch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader) as lines, os.fdopen(writer, "w") as stream:
        progress = Progress.on(stream, Mode.ON, metrics_of(watch, *HALFWAY), watch)
        progress.close()
        line = await asyncio.to_thread(lines.readline)
    assert line == "progress: 500 of about 1,000 records, 500/s, 429s 3, 1.0 s left\n"


async def test_off_prints_nothing(terminal: Terminal, watch: Watch) -> None:
    await watch_batch(terminal.stream, Mode.OFF, metrics_of(watch, *HALFWAY), watch, updates=3, seconds=100.0)
    assert terminal.output() == ""


async def test_a_closed_standard_error_does_not_end_the_batch(watch: Watch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    stream = io.TextIOWrapper(os.fdopen(writer, "wb", buffering=0), write_through=True)
    progress = Progress.on(stream, Mode.ON, Metrics(watch), watch)
    watch.time += 100.0
    await asyncio.wait_for(progress.run(), 10)
    progress.close()
    stream.close()


async def test_a_stopped_terminal_does_not_block_the_event_loop(watch: Watch) -> None:
    display = StuckDisplay()
    task = asyncio.create_task(Progress(Metrics(watch), display).run())
    await asyncio.to_thread(display.stuck.wait, 10)
    display.release.set()
    await asyncio.to_thread(display.moved_on.wait, 10)
    task.cancel()
    assert display.was_released


class StuckDisplay(Display):
    """Blocks until it is released, and records whether that came in time."""

    def __init__(self) -> None:
        self.stuck = threading.Event()
        self.release = threading.Event()
        self.moved_on = threading.Event()
        self.was_released = False

    def show(self, snapshot: Snapshot) -> None:
        self.stuck.set()
        self.was_released = self.release.wait(5)
        self.moved_on.set()


async def test_a_batch_that_ends_before_it_has_read_anything_has_no_progress(watch: Watch) -> None:
    stream = io.StringIO()
    Progress.on(stream, Mode.AUTO, Metrics(watch), watch).close()
    assert stream.getvalue() == ""
