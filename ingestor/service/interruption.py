"""Ctrl-C and SIGTERM: the first asks to end in order, the second leaves at once."""

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """Takes the process's stop signals while entered; belongs to the task that enters it.

    The first signal calls what `on_first` was given; without that, and for the second, the task is cancelled.
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
