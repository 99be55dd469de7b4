"""Plots of bounded series as inline SVG, without a script: the page and the report share them.

The drawing fills the width that it gets, and its text keeps its size: places along the time axis are percentages. Lines
differ in colour and in dashes, and each has its name and last value at its end. Colours are CSS variables
(`style.css`). A description and a table say the same in words.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, isfinite, nan

from ingestor.report.html.axes import spell_day, spell_number, spell_time, time_axis, value_axis

_HEIGHT = 128  # pixels of the area with the lines
_TOP, _BOTTOM = 16, 24  # pixels above and below it
_COLUMNS = 300  # a line has at most two points in each
_ROWS = 12  # of the table
_LABEL = 30  # pixels that a label at the end of a line takes
_UNIT = 1000  # of the coordinates inside the area


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, and its values at the plot's times. NaN, infinity: not known; two of them interrupt it."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Up to four series with the same times.

    Attributes:
        key: the HTML id; unique in its document.
        title: what is plotted, with the unit.
        times: Unix seconds, ascending.
        series: the lines; the first one is the most important.
        pauses: when nothing was sent: begin and end in Unix seconds.
        spell: how a value is written.
    """

    key: str
    title: str
    times: Sequence[float]
    series: Sequence[Series]
    pauses: Sequence[tuple[float, float]] = ()
    spell: Callable[[float], str] = spell_number

    @property
    def span(self) -> tuple[float, float]:
        """The first and the last time; a single point gets half a minute on each side."""
        first, last = (self.times[0], self.times[-1]) if self.times else (0.0, 0.0)
        return (first, last) if last > first else (first - 30, last + 30)

    def known(self) -> list[float]:
        """Return the values that are known, of all series."""
        return [value for line in self.series for value in line.values if isfinite(value)]


def figure(plot: Plot) -> str:
    """Return a `<figure>`: the plot with its title, its description and its table."""
    return (
        f'<figure class="plot" id="{escape(plot.key)}"><figcaption>{escape(plot.title)}</figcaption>{svg(plot)}'
        f"<details><summary>Numbers</summary>{table(plot)}</details></figure>"
    )


def svg(plot: Plot) -> str:
    """Return the drawing. It needs `style.css` for its colours and for the room on both sides."""
    title, words, key = escape(plot.title), escape(describe(plot)), escape(plot.key)
    return (
        f'<svg class="chart" role="img" aria-labelledby="{key}-title {key}-words" width="100%" overflow="visible" '
        f'height="{_TOP + _HEIGHT + _BOTTOM}"><title id="{key}-title">{title}</title>'
        f'<desc id="{key}-words">{words}</desc>{"".join(_parts(plot))}</svg>'
    )


def describe(plot: Plot) -> str:
    """Say in words what a plot shows: the time, the last, least and most of each line, and the pauses."""
    if not plot.known():
        return "There are no values yet."
    begin, end = plot.span
    parts = [f"From {spell_day(begin)} {spell_time(begin)} to {spell_day(end)} {spell_time(end)} UTC."]
    for line in plot.series:
        if known := [value for value in line.values if isfinite(value)]:
            last, least, most = (plot.spell(value) for value in (known[-1], min(known), max(known)))
            parts.append(f"{line.name}: last {last}, least {least}, most {most}.")
    pauses = [f"{spell_time(max(a, begin))} to {spell_time(min(b, end))}" for a, b in _shown_pauses(plot)]
    more = f" and {len(pauses) - 5:,} more" if len(pauses) > 5 else ""
    return " ".join([*parts, *([f"Paused: {', '.join(pauses[:5])}{more}."] if pauses else [])])


def table(plot: Plot) -> str:
    """Return the numbers as a table of a dozen rows at most: the mean of each line in equal parts of the time."""
    begin, end = plot.span
    names = "".join(f'<th scope="col">{escape(line.name)}</th>' for line in plot.series)
    rows, after = [], 0
    for row in range(_ROWS if plot.times else 0):
        until = begin + (end - begin) * (row + 1) / _ROWS
        before, after = after, len(plot.times) if row == _ROWS - 1 else bisect_left(plot.times, until, after)
        if before < after:
            means = [_mean(line.values[before:after]) for line in plot.series]
            cells = "".join(f"<td>{escape(plot.spell(it)) if isfinite(it) else '-'}</td>" for it in means)
            rows.append(f'<tr><th scope="row">{spell_time(plot.times[before])}</th>{cells}</tr>')
    return (
        f"<table><caption>{escape(plot.title)}: means from each time on</caption>"
        f'<thead><tr><th scope="col">UTC</th>{names}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _parts(plot: Plot) -> Iterator[str]:
    known = plot.known()
    step, top = value_axis(known or [0.0])
    yield from _pauses(plot)
    for number in range(round(top / step) + 1):
        y = _y(number * step, top)
        yield f'<line class="grid" x1="0" x2="100%" y1="{y}" y2="{y}"/>'
        if known:
            yield f'<text x="0" y="{y}" dx="-6" dy=".35em" text-anchor="end">{escape(plot.spell(number * step))}</text>'
    if not known:
        yield f'<text x="50%" y="{_TOP + _HEIGHT // 2}" text-anchor="middle">no values yet</text>'
        return
    yield from _time_marks(plot.span)
    lines = "".join(_line(plot, number, top) for number in reversed(range(len(plot.series))))
    yield (
        f'<svg y="{_TOP}" width="100%" height="{_HEIGHT}" viewBox="0 0 {_UNIT} {_UNIT}" preserveAspectRatio="none" '
        f'overflow="visible">{lines}</svg>'
    )
    yield from _peak(plot, top, max(known))
    yield from _labels(plot, top)


def _line(plot: Plot, number: int, top: float) -> str:
    """Draw one series: a line for each part without unknown values. The first series also has an area."""
    paths: dict[str, list[str]] = {"area": [], "line": [], "line dot": []}
    for part in _known_parts(plot.times, plot.series[number].values):
        places = [
            (round(_UNIT * _share(plot.span, time)), round(_UNIT * (1 - min(max(value, 0) / top, 1))))
            for time, value in _thin_out(part, plot.span)
        ]
        path = f"M{places[0][0]} {places[0][1]}L{' '.join(f'{x} {y}' for x, y in places)}"
        paths["line" if len(part) > 1 else "line dot"].append(path)
        if number == 0:
            paths["area"].append(f"{path}V{_UNIT}H{places[0][0]}Z")
    return "".join(
        f'<path class="{kind} s{number + 1}" vector-effect="non-scaling-stroke" d="{"".join(parts)}"/>'
        for kind, parts in paths.items()
        if parts
    )


def _known_parts(times: Sequence[float], values: Sequence[float]) -> Iterator[list[tuple[float, float]]]:
    """Divide a line where values are not known. A single one interrupts nothing: a sample may come late."""
    part: list[tuple[float, float]] = []
    unknown = 0
    for time, value in zip(times, values, strict=True):
        if not isfinite(value):
            unknown += 1
            continue
        if unknown > 1 and part:
            yield part
            part = []
        part.append((time, value))
        unknown = 0
    if part:
        yield part


def _thin_out(part: list[tuple[float, float]], span: tuple[float, float]) -> list[tuple[float, float]]:
    """Keep the least and the most of each column, in the order of time, so that no peak is lost."""
    if len(part) <= 2 * _COLUMNS:
        return part
    columns: dict[int, list[tuple[float, float]]] = {}
    for point in part:
        columns.setdefault(floor(_share(span, point[0]) * _COLUMNS), []).append(point)
    extremes = ((min(it, key=lambda p: p[1]), max(it, key=lambda p: p[1])) for it in columns.values())
    return [point for pair in extremes for point in sorted(set(pair))]


def _labels(plot: Plot, top: float) -> Iterator[str]:
    """Write the name and the last value at the end of each line; move them apart where lines end close together."""
    ends = [(line, next((v for v in reversed(line.values) if isfinite(v)), nan)) for line in plot.series]
    placed = sorted((_y(last, top), number) for number, (_, last) in enumerate(ends, 1) if isfinite(last))
    lowest = _TOP + _HEIGHT - 17 - _LABEL * (len(placed) - 1)
    y = -float(_LABEL)
    for wanted, number in placed:
        y = max(y + _LABEL, min(wanted, lowest))
        lowest += _LABEL
        line, last = ends[number - 1]
        yield (
            f'<text class="label s{number}" x="100%" y="{y:.0f}" dx="8">{escape(line.name)}'
            f'<tspan class="value" x="100%" dx="8" dy="1.1em">{escape(plot.spell(last))}</tspan></text>'
        )


def _pauses(plot: Plot) -> Iterator[str]:
    """Mark the pauses: an area, and a word above it, or two bars where many words would overlap."""
    shown = _shown_pauses(plot)
    for pause in shown:
        left, right = (min(max(_share(plot.span, time), 0), 1) for time in pause)
        yield (
            f'<g class="pause"><rect x="{left:.2%}" width="{max(right - left, 0.003):.2%}" y="{_TOP}" '
            f'height="{_HEIGHT}"/><text x="{(left + right) / 2:.1%}" y="{_TOP - 5}" text-anchor="middle">'
            f"{'paused' if len(shown) == 1 or right - left > 0.2 else '‖'}</text></g>"
        )


def _peak(plot: Plot, top: float, most: float) -> Iterator[str]:
    """Name the highest value if it is above the axis."""
    if most > top:
        time = next(t for line in plot.series for t, v in zip(plot.times, line.values, strict=True) if v == most)
        share = _share(plot.span, time)
        day = "" if plot.span[1] - plot.span[0] < 86_400 else f"{spell_day(time)} "
        words = escape(f"{plot.spell(most)} at {day}{spell_time(time)}")
        place = 'dx="6"' if share < 0.5 else 'dx="-6" text-anchor="end"'
        yield f'<text class="peak" x="{share:.1%}" y="{_TOP + 10}" {place}>▲ {words}</text>'


def _time_marks(span: tuple[float, float]) -> Iterator[str]:
    bottom = _TOP + _HEIGHT
    for time, words in time_axis(*span):
        share = _share(span, time)
        yield f'<line class="tick" x1="{share:.1%}" x2="{share:.1%}" y1="{bottom}" y2="{bottom + 4}"/>'
        yield f'<text x="{share:.1%}" y="{bottom + 17}" text-anchor="middle">{words}</text>'


def _shown_pauses(plot: Plot) -> list[tuple[float, float]]:
    return [(a, b) for a, b in plot.pauses if b > plot.span[0] and a < plot.span[1]] if plot.known() else []


def _share(span: tuple[float, float], time: float) -> float:
    return (time - span[0]) / (span[1] - span[0])


def _y(value: float, top: float) -> int:
    return round(_TOP + _HEIGHT * (1 - min(max(value, 0) / top, 1)))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if isfinite(value)]
    return sum(known) / len(known) if known else nan
