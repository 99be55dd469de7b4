"""The event loop of a batch, seen from the thread of a server: does it turn, and what does it know?"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

INTERVAL = 1.0
"""Seconds between two heartbeats of the loop, and between two looks at them."""
MOST_MISSED = 10
"""Looks in a row without a heartbeat, after which the loop counts as stuck."""

LONGEST_ANSWER = 2.0
"""Seconds that a question to the loop may take."""


class LoopStuckError(Exception):
    """The loop has not answered in time."""


class LoopWatch:
    """Watches one event loop. Made in it.

    The loop has a heartbeat each INTERVAL, and the watching thread looks each INTERVAL. So a process that was stopped
    as a whole, with both, does not count as stuck.
    """

    def __init__(self, interval: float = INTERVAL, longest_answer: float = LONGEST_ANSWER) -> None:
        self._loop = asyncio.get_running_loop()
        self._interval = interval
        self._longest_answer = longest_answer
        self._heartbeats = 0
        self._seen = 0
        self._missed = 0

    async def pulse(self, work: Callable[[], object]) -> None:
        """Give heartbeats until cancelled, in the loop; do `work` with each."""
        while True:
            self._heartbeats += 1
            work()
            await asyncio.sleep(self._interval)

    async def look(self) -> None:
        """Look for heartbeats until cancelled, in the loop of the watching thread."""
        while True:
            await asyncio.sleep(self._interval)
            self._missed = 0 if self._heartbeats != self._seen else self._missed + 1
            self._seen = self._heartbeats

    @property
    def stuck_for(self) -> float:
        """For about how many seconds there was no heartbeat; 0 if there is one."""
        return self._missed * self._interval

    @property
    def is_stuck(self) -> bool:
        """Whether so many heartbeats are missing that the loop will hardly continue."""
        return self._missed >= MOST_MISSED

    async def ask(self, work: Callable[[], T]) -> T:
        """Return what `work` returns in the loop; called in another one. Raises LoopStuckError."""

        async def do() -> T:
            return work()

        return await self.ask_for(do)

    async def ask_for(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what the coroutine returns in the loop; called in another one. Raises LoopStuckError."""
        coroutine = work()
        try:
            answer = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        except RuntimeError as error:  # the loop is closed
            coroutine.close()
            raise LoopStuckError from error
        try:
            return await asyncio.wait_for(asyncio.wrap_future(answer), self._longest_answer)
        except TimeoutError as error:
            raise LoopStuckError from error
