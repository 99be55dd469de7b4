"""The arithmetic of --rate: what a ceiling of N requests a second allows in any second.

No second has more than N plus 5 % requests, as whole requests: 20 allow 21, and 10 allow 10. Requests leave in the
order of a generic cell rate algorithm (ITU-T I.371): one every `interval`, and at most TOLERANCE seconds too early. So
a second has at most (1 + TOLERANCE) / interval requests, rounded down, and one.
"""

from math import ceil, floor

TOLERANCE = 0.015
"""Seconds that a request may leave before its time: how unevenly requests may come."""

_ALLOWANCE = 0.05  # of the ceiling
_JITTER = 0.015  # seconds by which requests may come closer together on their way
_HEADROOM = 0.01  # of the ceiling: the pacer must be slower than what it must not exceed


def interval(ceiling: float) -> float:
    """Return the seconds from one request to the next that keep to `ceiling` requests a second, above 0."""
    allowed = max(ceil(ceiling), floor(ceiling * (1 + _ALLOWANCE)))
    return 1 / min(ceiling * (1 + _HEADROOM), allowed / (1 + TOLERANCE + _JITTER))


def paced(ceiling: float) -> float:
    """Return the requests a second to pace for: `ceiling`, or a little less, so that few requests come too early."""
    return min(ceiling, (1 - _HEADROOM) / interval(ceiling))
