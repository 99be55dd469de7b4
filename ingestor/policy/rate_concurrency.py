"""Finding a limit on how many attempts may be in flight, where that is what the service refuses (429).

A refusal is *crowded* where hardly any attempt was accepted lately with as many in flight. A limit on the rate refuses
whatever is in flight, so few of its refusals are crowded; a limit on the concurrency makes nearly every one so. After
a few in a row the bound is set just under the last, and creeps up from there. Where answers always take the same time
the two limits are the same thing, and the rate alone keeps to either.
"""

from collections import Counter
from math import inf

_HARDLY_ANY = 0.02
_ROW = 3
_GENERATION = 200
_REST = 5.0


class ConcurrencyWindow:
    """A bound for attempts in flight, made from refusals; times are seconds on the caller's monotonic clock.

    `size` is the bound, None where no such limit shows.
    """

    def __init__(self) -> None:
        self.size: int | None = None
        self._accepted, self._accepted_before = Counter[int](), Counter[int]()
        self._count = self._count_before = 0
        self._crowded_in_a_row = 0
        self._grow_at = inf
        self._step = 1

    def accepted(self, now: float, in_flight: int) -> None:
        """Take an accepted attempt, sent with so many in flight, itself included."""
        self._accepted[in_flight] += 1
        self._count += 1
        if self._count >= _GENERATION:
            self._accepted_before, self._accepted = self._accepted, Counter()
            self._count_before, self._count = self._count, 0
            if self.size is not None and now >= self._grow_at:
                self._resize(now, self.size + self._step)
                self._step *= 2

    def refused(self, now: float, in_flight: int) -> bool:
        """Take the first refusal of an epoch; True where this bound answers for it, and not the rate."""
        crowded = self._is_crowded(in_flight)
        self._crowded_in_a_row = self._crowded_in_a_row + 1 if crowded else 0
        if self._crowded_in_a_row >= _ROW:
            self._resize(now, max(1, in_flight - 1))
            self._step = 1
        elif not crowded:
            self.size = None
        return self.size is not None

    def _is_crowded(self, in_flight: int) -> bool:
        alike = sum(
            number
            for generation in (self._accepted, self._accepted_before)
            for level, number in generation.items()
            if level >= in_flight
        )
        return alike < _HARDLY_ANY * (self._count + self._count_before)

    def _resize(self, now: float, size: int) -> None:
        self.size, self._grow_at = size, now + _REST
