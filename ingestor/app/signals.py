"""Ctrl-C and SIGTERM: the first asks to end in order, the second leaves at once."""

import asyncio
import os
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ingestor.model.errors import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE = 2.0  # seconds; the journal is right at any moment


class SignalHandler:
    """Takes the process's stop signals while entered; belongs to the task that enters it.

    The first signal calls what `on_first` was given; without that, and for the second, the task is cancelled. Where it
    has not ended a moment later, waiting for a pipe that nobody reads, the process ends all the same.
    """

    def __init__(self) -> None:
        self.count = 0
        self._stop: Callable[[], None] | None = None
        self._task: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def on_first(self, stop: Callable[[], None]) -> None:
        """Say how to end in order."""
        self._stop = stop

    def _receive(self) -> None:
        self.count += 1
        if self.count == 1 and self._stop is not None:
            self._stop()
        elif self._task is not None:
            self._task.cancel()
            asyncio.get_running_loop().call_later(_GRACE, os._exit, ExitCode.STOPPED)
