"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from enum import StrEnum
from itertools import chain, count
from math import inf, isfinite
from typing import Protocol, Self, TextIO

from ingestor.model.events import BatchPaused
from ingestor.model.text import printable
from ingestor.report.metrics import Snapshot
from ingestor.report.text import spell_count, spell_duration, spell_rate
from ingestor.system.tasks import in_background

INTERVAL = 0.25
"""Seconds between two updates."""

FIRST_LINE = 10.0
"""Seconds before the first plain line."""
SPARSE = (FIRST_LINE, 60.0, 300.0, 600.0, 1800.0)
"""Seconds after which a plain line is due where nobody asked for more. Later, one is due every LONGEST_GAP seconds."""
LONGEST_GAP = 1800.0
"""Seconds between two plain lines, at most."""
LONG_PAUSE = 5.0
"""Seconds of a pause that is worth a plain line of its own, as soon as it begins."""
NO_SCREEN = frozenset({None, "", "dumb", "unknown"})
"""Values of TERM of a terminal that understands no control sequences, or may not."""

_SOON = 0.05  # seconds

Sleep = Callable[[float], Awaitable[None]]
Clock = Callable[[], float]
"""Monotonic, in seconds."""


class Mode(StrEnum):
    """`--progress`. Plain lines come less and less often with AUTO (for a scheduler's mail), every 10 s with ON."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


def describe(snapshot: Snapshot) -> str:
    """Put a snapshot in words: `1,200 of about 5,000 records, 400/s, 429s 3, 9.5 s left`.

    A pause comes first, with its reason, because a narrow terminal shows only the beginning.
    """
    records = spell_count(snapshot.done, "record")
    if snapshot.total is not None:
        about = "" if snapshot.is_exact else "about "
        records = f"{snapshot.done:,} of {about}{spell_count(snapshot.total, 'record')}"
    throttled = [] if snapshot.throttled is None else [f"429s {snapshot.throttled:,}"]
    if snapshot.pause is not None:
        return f"{_spell_pause(snapshot.pause)}; {', '.join([records, *throttled])}"
    parts = [records, spell_rate(snapshot.rate), *throttled]
    if snapshot.eta is not None:
        parts.append(f"{spell_duration(snapshot.eta)} left")
    return ", ".join(parts)


def _spell_pause(pause: BatchPaused) -> str:
    """Say how long nothing is sent, and why."""
    if isfinite(pause.seconds):
        wait = f"paused for {spell_duration(pause.seconds)}" if pause.seconds >= _SOON else "paused, about to continue"
    else:
        wait = "paused"
    return f"{wait}: {printable(pause.reason, 200)}"


class Display:
    """Shows snapshots; this one shows nothing. Both methods may block."""

    def show(self, snapshot: Snapshot) -> None:
        """Show the current state, if an update is due."""

    def close(self, snapshot: Snapshot) -> None:
        """Show the final state, and restore the stream."""


class Snapshots(Protocol):
    """What progress is shown of: the metrics of a batch, for example."""

    def snapshot(self) -> Snapshot:
        """Return the present state."""
        ...


class Progress:
    """Shows the metrics four times a second.

    The display works in a thread, because a terminal can be stopped (Ctrl-S) and a pipe can be full.
    """

    def __init__(self, metrics: Snapshots, display: Display, sleep: Sleep = asyncio.sleep) -> None:
        self._metrics = metrics
        self._display = display
        self._sleep = sleep
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def on(cls, stream: TextIO, mode: Mode, metrics: Snapshots, clock: Clock, sleep: Sleep = asyncio.sleep) -> Self:
        """Choose the display for a stream (standard error)."""
        return cls(metrics, _choose_display(stream, mode, clock), sleep)

    @classmethod
    def with_lines(
        cls, stream: TextIO, mode: Mode, metrics: Snapshots, clock: Clock, sleep: Sleep = asyncio.sleep
    ) -> Self:
        """Choose the display for a command that prints lines meanwhile: no bar, and nothing if it ends soon."""
        return cls(metrics, Display() if mode is Mode.OFF else _plain_lines(stream, mode, clock, at_end=False), sleep)

    @asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """Show progress while the block runs, and the final state."""
        try:
            async with in_background(self.run()):
                yield
        finally:
            self.close()

    async def run(self) -> None:
        """Show progress until cancelled, or until the stream is closed."""
        with contextlib.suppress(OSError):  # a closed standard error ends the display, not the batch
            while True:
                await asyncio.to_thread(self._show, self._metrics.snapshot())
                await self._sleep(INTERVAL)

    def close(self) -> None:
        """Show the final state and restore the terminal; safe to call twice."""
        with contextlib.suppress(OSError), self._lock:
            if not self._closed:
                self._closed = True
                self._display.close(self._metrics.snapshot())

    def _show(self, snapshot: Snapshot) -> None:
        with self._lock:
            if not self._closed:  # a thread that was late would hide the cursor again
                self._display.show(snapshot)


class PlainLines(Display):
    """One line from time to time, one when a long pause begins or its reason changes or it is over, one at the end."""

    def __init__(self, stream: TextIO, clock: Clock, *, times: Iterator[float], at_end: bool = True) -> None:
        """`times` are the seconds from now on at which lines are due; the iterator is endless.

        Without `at_end`, a last line follows only other lines.
        """
        self._stream = stream
        self._clock = clock
        self._times = times
        self._at_end = at_end
        self._began = clock()
        self._due = self._began + next(times)
        self._last = -inf
        self._has_written = False
        self._shown_pause: str | None = None

    def show(self, snapshot: Snapshot) -> None:
        """Write a line if one is due."""
        now = self._clock()
        if now >= self._due:
            self._write(snapshot)
            self._due = next(due for seconds in self._times if (due := self._began + seconds) > now)
        elif now >= self._last + FIRST_LINE and self._is_new(snapshot.pause):
            self._write(snapshot)

    def _is_new(self, pause: BatchPaused | None) -> bool:
        """Whether no line has named the pause, or its end. A service that flaps does not fill the screen."""
        if pause is None:
            return self._shown_pause is not None
        return pause.seconds >= LONG_PAUSE and pause.reason != self._shown_pause

    def close(self, snapshot: Snapshot) -> None:
        """Write the last line; none for a batch that ends before it has read anything."""
        if self._at_end and (self._has_written or snapshot.done or snapshot.total is not None):
            self._write(snapshot)

    def _write(self, snapshot: Snapshot) -> None:
        self._at_end = self._has_written = True
        pause = None if snapshot.pause is None else snapshot.pause.reason
        if pause != self._shown_pause:
            self._last, self._shown_pause = self._clock(), pause
        self._stream.write(f"progress: {describe(snapshot)}\n")
        self._stream.flush()


class Bar(Display):
    """A bar with its figures on one line. Hides the cursor from the first `show` to `close`."""

    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console  # noqa: PLC0415 - rich is slow to import, and most runs show no bar
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn  # noqa: PLC0415 - as above

        self._progress = Progress(
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(file=stream, highlight=False),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the bar."""
        self._progress.start()
        self._draw(snapshot)

    def close(self, snapshot: Snapshot) -> None:
        """Draw the bar for the last time, and show the cursor again."""
        try:
            self._draw(snapshot)
        finally:
            self._progress.stop()

    def _draw(self, snapshot: Snapshot) -> None:
        self._progress.update(self._task, completed=snapshot.done, total=snapshot.total, description=describe(snapshot))
        self._progress.refresh()


def _choose_display(stream: TextIO, mode: Mode, clock: Clock) -> Display:
    if mode is Mode.OFF:
        return Display()
    if stream.isatty() and os.environ.get("TERM") not in NO_SCREEN and not os.environ.get("CI"):
        return Bar(stream)  # it has no colours where NO_COLOR is set
    return _plain_lines(stream, mode, clock, at_end=True)


def _plain_lines(stream: TextIO, mode: Mode, clock: Clock, *, at_end: bool) -> PlainLines:
    sparse = chain(SPARSE, count(SPARSE[-1] + LONGEST_GAP, LONGEST_GAP))
    return PlainLines(
        stream, clock, times=sparse if mode is Mode.AUTO else count(FIRST_LINE, FIRST_LINE), at_end=at_end
    )
