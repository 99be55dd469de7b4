"""The four plots of a batch's history, for the page and the report: requests, latency, backlog and errors over time."""

from collections.abc import Iterator, Mapping, Sequence
from math import nan

from ingestor.report.html.axes import spell_seconds
from ingestor.report.html.plots import Plot, Series, figure

Values = Mapping[str, Sequence[float | None]]
"""The history, by name: `accepted`, `refused`, `errors` (answers a second), `allowed` (attempts a second),
`latency_p50`, `latency_p95` (milliseconds), `backlog` (records), `paused` (the share of the step in which nothing was
sent, 0 to 1). None: not known. A name may be missing.
"""


def charts(step: float, begin: float, values: Values) -> str:
    """Return the four figures, as HTML. Point n is about the `step` seconds from `begin` + n * `step`, Unix time."""
    return "".join(figure(plot) for plot in plots(step, begin, values))


def plots(step: float, begin: float, values: Values) -> Iterator[Plot]:
    """Yield the four plots of `charts`."""
    length = max(map(len, values.values()), default=0)
    times = [begin + number * step for number in range(length)]
    pauses = tuple(_pauses(step, times, values.get("paused", ())))

    def line(name: str, key: str, unit: float = 1.0) -> Series:
        known = values.get(key, ())
        return Series(name, [nan if it is None else it * unit for it in known] + [nan] * (length - len(known)))

    rates = (line("accepted", "accepted"), line("allowed", "allowed"), line("refused", "refused"))
    yield Plot(key="requests", title="Requests a second", times=times, series=rates, pauses=pauses)
    latency = (line("p95", "latency_p95", 0.001), line("p50", "latency_p50", 0.001))
    yield Plot(
        key="latency", title="Latency of the answers", times=times, series=latency, pauses=pauses, spell=spell_seconds
    )
    backlog = (line("backlog", "backlog"),)
    yield Plot(key="backlog", title="Records that wait to be sent", times=times, series=backlog, pauses=pauses)
    errors = (line("errors", "errors"),)
    yield Plot(key="errors", title="Errors a second", times=times, series=errors, pauses=pauses)


def _pauses(step: float, times: Sequence[float], paused: Sequence[float | None]) -> Iterator[tuple[float, float]]:
    """Join neighbouring points, most of which were a pause, to pauses: begin and end."""
    begin: float | None = None
    for time, share in zip(times, paused, strict=False):
        if (share or 0) > 0.5:
            begin = time if begin is None else begin
        elif begin is not None:
            yield begin, time
            begin = None
    if begin is not None:
        yield begin, times[len(paused) - 1] + step
