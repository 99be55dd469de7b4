"""The axes of plots: where they have their marks, and how values and times are written in few characters."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from math import ceil, floor, log10

_MARKS = 4
"""Intervals on the axis of values, at most."""
_OUTLIERS = 0.02
"""The share of values that may be above the axis, so that the others can be read."""
_SMALLEST, _LARGEST = 1e-9, 1e300
"""Less is 0 on an axis; more is above it, and the computation does not overflow."""
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_TIME_STEPS = (
    *(1, 2, 5, 10, 15, 30),
    *(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * n for n in (1, 2, 3, 6, 12)),
    *(_DAY * n for n in (1, 2, 7, 14, 30, 90, 365)),
)


def spell_number(value: float) -> str:
    """Write a number: `0.5`, `482`, `1.5k`, `20M`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 0.9995 * size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def spell_seconds(value: float) -> str:
    """Write a latency: `0`, `35 ms`, `1.2 s`."""
    return "0" if not value else f"{value * 1000:.3g} ms" if value < 0.9995 else f"{spell_number(value)} s"


def spell_day(time: float) -> str:
    """Write the day of a time (Unix seconds, UTC): `Nov 28`."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment:%b} {moment.day}"


def spell_time(time: float, step: float = 1) -> str:
    """Write a time (Unix seconds, UTC) as exactly as an axis with this step needs; midnight is the day."""
    moment = datetime.fromtimestamp(time, UTC)
    if step >= _MINUTE and time % _DAY == 0:
        return spell_day(time)
    return f"{moment:%H:%M:%S}" if step < _MINUTE else f"{moment:%H:%M}"


def value_axis(known: Sequence[float]) -> tuple[float, float]:
    """Return the step and the top of the axis that begins at 0. A few values may be far above the top."""
    ordered = sorted(known)
    most, usual = ordered[-1], ordered[-1 - floor(len(ordered) * _OUTLIERS)]
    reach = min(2 * usual if usual > 0 and most > 5 * usual else most, _LARGEST)
    if reach < _SMALLEST:
        return 1.0, 1.0
    power = 10.0 ** floor(log10(reach / _MARKS))
    step = next(it * power for it in (1, 2, 5, 10) if reach <= it * power * _MARKS * 1.001)
    step = max(step, 1.0) if all(value == floor(value) for value in known) else step
    return step, step * ceil(reach / step * 0.999)


def time_axis(begin: float, end: float) -> Iterator[tuple[float, str]]:
    """Yield the marks between two times: the time, and what is written there. A telephone has room for them."""
    length = end - begin
    step = next(
        (it for it in _TIME_STEPS if length / it <= (5 if it >= _MINUTE else 3.5)), _DAY * ceil(length / _DAY / 5)
    )
    for number in range(ceil(begin / step), floor(end / step) + 1):
        yield number * step, spell_time(number * step, step)
