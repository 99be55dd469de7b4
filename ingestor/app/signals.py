"""The signals during a batch: which ones stop it, how often, and how long the process then still waits."""

import os
import signal
import time
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Self

from ingestor.model.errors import ExitCode
from ingestor.system.stops import REOPENS_LOG, STOPS, STOPS_NOTHING, taken_signals

ONE_STOP = 1.0
"""Seconds in which all signals count as one: a wrapper passes on those that the whole group gets."""
GRACE = 2.0
"""Seconds that a process may take to end at once; the journal is right at any time."""
LAST_WORDS = 4.0
"""Seconds that the process may take after a stopped batch to print the summary."""

Schedule = Callable[..., object]
"""Calls a function soon, where it may do more than in a signal handler: `loop.call_soon_threadsafe`."""


class StopSignals:
    """Takes the signals of the process while entered.

    The first stop signal calls `on_stop` with its name, and the process exits at the latest `seconds` later. A signal
    that comes more than ONE_STOP seconds after the first calls `on_second`, and the process exits soon, whatever it
    waits for. After `finish`, the exit code is decided: a signal only sees to it that the process ends soon.
    `on_reopen` is called on REOPENS_LOG, `on_status` on SHOWS_STATUS.

    Attributes:
        count: how many stop signals arrived that count.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        on_stop: Callable[[str], None],
        on_second: Callable[[], object],
        on_reopen: Callable[[], None],
        on_status: Callable[[], object],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count = 0
        self._schedule = schedule
        self._on_stop = on_stop
        self._on_second = on_second
        self._on_reopen = on_reopen
        self._on_status = on_status
        self._seconds = seconds
        self._clock = clock
        self._first_at = 0.0
        self._code: int | None = None
        self._before = taken_signals()

    def __enter__(self) -> Self:
        for number in self._before:
            signal.signal(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._code is None:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def finish(self, code: int) -> None:
        """Take no signal as a request to stop any more: the process will end with this exit code."""
        self._code = code
        if self.count:
            signal.setitimer(signal.ITIMER_REAL, 0)
            exit_after(LAST_WORDS, code)

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if number in STOPS_NOTHING:
            if self._code is None:
                self._schedule(self._on_reopen if number == REOPENS_LOG else self._on_status)
        elif self._code is not None:
            exit_after(GRACE, self._code)
        elif not self.count:
            self.count, self._first_at = 1, self._clock()
            self._schedule(self._on_stop, STOPS[signal.Signals(number)])
            exit_after(self._seconds, ExitCode.STOPPED)
        elif self._clock() - self._first_at > ONE_STOP:
            self.count += 1
            exit_after(GRACE, ExitCode.STOPPED)
            self._schedule(self._on_second)


def exit_after(seconds: float, code: int) -> None:
    """Exit with `code` once these seconds have passed, whatever the process waits for then; earlier if it had to."""
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    signal.signal(signal.SIGALRM, lambda *_: os._exit(code))
    if not left or seconds < left:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001))
