"""What a task waits for, by samples of the last seconds: the reason why a batch is not faster.

Samples cost the path of a record nothing: the task only names its next wait.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from enum import StrEnum

WINDOW = 10.0
"""Seconds after which a sample does not count any more."""

_APART = 0.2  # seconds between two samples, at least
_BUSY = 0.9  # of a core
_MOST = 0.5  # share of the samples


class Wait(StrEnum):
    """What a task can wait for."""

    SLOT = "slot"
    BACKLOG = "backlog"
    HEALTH = "health"
    PACER = "pacer"
    INPUT = "input"
    ROOM = "room"
    JOURNAL = "journal"


class Waits:
    """The waits of one task. `processor` returns the processor time of this process, in seconds.

    Attributes:
        next: what the task waits for if it waits: it sets this before each wait.
    """

    def __init__(self, processor: Callable[[], float] = time.process_time) -> None:
        self.next: Wait | None = None
        self._now = asyncio.get_running_loop().time
        self._processor = processor
        self._samples: deque[tuple[float, Wait | None, float]] = deque()

    def sample(self) -> None:
        """Note what the task waits for now. Call it about once a second."""
        now, samples = self._now(), self._samples
        while samples and samples[0][0] < now - WINDOW:
            samples.popleft()
        if samples and samples[-1][0] > now - _APART:
            samples.pop()
        samples.append((now, self.next, self._processor()))

    @property
    def longest(self) -> Wait | None:
        """What most of the samples have; None if no wait has most of them."""
        counts = Counter(what for _, what, _ in self._samples if what is not None)
        what, count = counts.most_common(1)[0] if counts else (None, 0)
        return what if count > _MOST * len(self._samples) else None

    @property
    def is_busy(self) -> bool:
        """Whether this process used nearly all of one core between the first sample and the last."""
        if len(self._samples) < 2:
            return False
        (began, _, before), (ended, _, after) = self._samples[0], self._samples[-1]
        return after - before >= _BUSY * (ended - began)
