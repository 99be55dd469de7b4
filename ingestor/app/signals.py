"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second ends the process at once."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ingestor.model.errors import ExitCode

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_GRACE = 2.0  # seconds; the journal is right at any time


class StopSignals:
    """Takes the stop signals of the process while entered; belongs to the task that enters it.

    The first signal calls `on_first`, the second cancels the task. If the task does not end soon after that, because it
    waits for a pipe that nobody reads, the process exits. Outside the main thread no signal is taken.

    Attributes:
        count: how many signals arrived.
    """

    def __init__(self, on_first: Callable[[], None]) -> None:
        self.count = 0
        self._on_first = on_first
        self._task: asyncio.Task[object] | None = None
        self._taken = _SIGNALS if threading.current_thread() is threading.main_thread() else ()

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        for number in self._taken:
            asyncio.get_running_loop().add_signal_handler(number, self._receive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._taken:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _receive(self) -> None:
        self.count += 1
        if self.count == 1:
            self._on_first()
        elif self._task is not None:
            self._task.cancel()
            asyncio.get_running_loop().call_later(_GRACE, os._exit, ExitCode.STOPPED)
