"""How far the batch is, for a person who watches: a bar on a terminal, plain lines elsewhere."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Protocol, Self, TextIO

from ingestor.report.metrics import Metrics
from ingestor.report.snapshot import Snapshot, describe

INTERVAL = 0.25
"""Seconds between two looks at the batch."""

FIRST_LINE = 10.0
"""Seconds before the first plain line."""
LONGEST_GAP = 300.0
"""Seconds between two plain lines, at most."""


Sleep = Callable[[float], Awaitable[None]]


class Mode(StrEnum):
    """`--progress`: AUTO's plain lines grow rarer, for the mail of a scheduler; those of ON come steadily."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


class Display(Protocol):
    """Something that shows snapshots. Both methods may block; `close` leaves the stream in order, and is repeatable."""

    def show(self, snapshot: Snapshot) -> None:
        """Show how it is now, if that is worth showing."""
        ...

    def close(self, snapshot: Snapshot) -> None:
        """Show how it ended."""
        ...


class Progress:
    """Looks at the metrics four times a second, and has them shown.

    The display works in a thread, because a terminal can be stopped (Ctrl-S) and a pipe can be full.
    """

    def __init__(self, metrics: Metrics, display: Display, sleep: Sleep = asyncio.sleep) -> None:
        self._metrics = metrics
        self._display = display
        self._sleep = sleep

    @classmethod
    def on(
        cls,
        stream: TextIO,
        mode: Mode,
        metrics: Metrics,
        clock: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
    ) -> Self:
        """Choose the display for a stream (standard error). `clock` is monotonic, in seconds."""
        return cls(metrics, _choose_display(stream, mode, clock), sleep)

    async def run(self) -> None:
        """Show progress until cancelled, or until nobody can see it."""
        with contextlib.suppress(OSError):  # a closed standard error costs the view, not the batch
            while True:
                await asyncio.to_thread(self._display.show, self._metrics.snapshot())
                await self._sleep(INTERVAL)

    def close(self) -> None:
        """Show the end and restore the terminal; harmless when repeated."""
        with contextlib.suppress(OSError):
            self._display.close(self._metrics.snapshot())


class PlainLines:
    """A line now and then, and one at the end."""

    def __init__(self, stream: TextIO, clock: Callable[[], float], *, growth: float) -> None:
        self._stream = stream
        self._clock = clock
        self._growth = growth
        self._gap = FIRST_LINE
        self._due = clock() + FIRST_LINE
        self._closed = False

    def show(self, snapshot: Snapshot) -> None:
        """Write a line if one is due."""
        now = self._clock()
        if now >= self._due and not self._closed:
            self._write(snapshot)
            self._gap = min(self._gap * self._growth, LONGEST_GAP)
            self._due = now + self._gap

    def close(self, snapshot: Snapshot) -> None:
        """Write the last line."""
        if not self._closed:
            self._closed = True
            self._write(snapshot)

    def _write(self, snapshot: Snapshot) -> None:
        self._stream.write(f"progress: {describe(snapshot)}\n")
        self._stream.flush()


class Nothing:
    """Shows nothing."""

    def show(self, snapshot: Snapshot) -> None:
        """Show nothing."""

    def close(self, snapshot: Snapshot) -> None:
        """Show nothing."""


def _choose_display(stream: TextIO, mode: Mode, clock: Callable[[], float]) -> Display:
    if mode is Mode.OFF:
        return Nothing()
    if stream.isatty() and os.environ.get("TERM") not in {None, "dumb", "unknown"}:
        from ingestor.report.bar import Bar  # noqa: PLC0415 - rich is only loaded where it is shown

        return Bar(stream)
    return PlainLines(stream, clock, growth=2.0 if mode is Mode.AUTO else 1.0)
