"""An event loop on which time passes only when nothing else can happen."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

from ingestor.app.machine import SteadyClock

T = TypeVar("T")

_STEP = 1e-6  # what one turn of the loop costs: a timer that is due "now" by a rounding error must come to be due


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: moves the time on by as much as the loop would have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("nothing is left that could happen: every task waits for another")
            self.now += timeout or _STEP
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock starts at 0 and jumps to the next timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9

    def time(self) -> float:
        return self._jumping.now

    def jump(self, seconds: float) -> None:
        """Let time pass in which the process does nothing, as while it is stopped."""
        self._jumping.now += seconds


class VirtualClock(SteadyClock):
    """The clocks of a virtual loop: its time, 0 before it runs, and a wall clock that is `start` plus that."""

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        super().__init__(self.wall, _time)
        self.start = start

    def wall(self) -> float:
        return self.start + _time()


def loop_time() -> float:
    return asyncio.get_running_loop().time()


def _time() -> float:
    try:
        return loop_time()
    except RuntimeError:
        return 0.0


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of its own, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
