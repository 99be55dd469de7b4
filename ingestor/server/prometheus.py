"""Measurements in the text format of Prometheus. Every name of a metric is here.

The names are a contract: they end in a base unit, and counts end in `_total`. Every value of every label is there from
the start. No label has an id, a file or a text of a record or of the service, so the number of series is fixed.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from math import inf, nan
from typing import Any

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from ingestor.model.activity import Bound, Health, Phase
from ingestor.model.durations import Durations
from ingestor.server.measurements import Measurements

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

BEGINNING = "# HELP ingestor_build_info"
"""How every text begins."""

_BATCH = ("batch",)


def as_text(measured: Measurements, *, process: bool) -> bytes:
    """Return the text; with memory, processor time and open files of this `process`, if wanted."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families(measured))
    if process:
        ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Families(Collector):
    """One collection of measurements. It is not kept: nothing that was once there stays in a later text."""

    def __init__(self, measured: Measurements) -> None:
        self._measured = measured
        self._labels = (measured.batch,)

    def collect(self) -> Iterable[Metric]:
        """Return all metrics."""
        it = self._measured
        yield self._build_info()
        yield self._counts("ingestor_records", "Records of this execution by outcome.", "outcome", it.outcomes)
        yield self._count(
            "ingestor_records_already_done", "Records that earlier executions completed.", it.already_done
        )
        yield self._count("ingestor_records_read", "Records that this execution has read.", it.read)
        yield self._counts("ingestor_attempts", "Requests by how they ended.", "class", it.attempts)
        yield self._count("ingestor_retries", "Requests that repeated an earlier one of their record.", it.retries)
        requests, lines = "Requests to --accept by the class of their answer.", "Lines of requests to --accept."
        yield self._counts("ingestor_accept_requests", requests, "class", it.requests)
        yield self._counts("ingestor_accept_lines", lines, "result", it.lines)
        yield self._histogram("ingestor_attempt_latency_seconds", "Time from a request to its answer.", it.latency)
        yield self._histogram("ingestor_commit_seconds", "Time of a transaction of the journal.", it.commits)
        yield from self._states()
        yield from self._levels()
        yield from self._times()

    def _build_info(self) -> Metric:
        it = self._measured
        family = GaugeMetricFamily(
            "ingestor_build_info", "The program that runs; always 1.", labels=(*_BATCH, "version", "python", "commit")
        )
        family.add_metric((*self._labels, it.version, it.python, it.commit), 1)
        return family

    def _states(self) -> Iterator[Metric]:
        it = self._measured
        yield self._state("ingestor_phase", "How far the execution is: 1 for the present phase.", Phase, it.phase)
        yield self._state("ingestor_service_health", "The service: 1 for its present state.", Health, it.health)
        yield self._state("ingestor_bound", "What limits the speed: 1 for the present limit.", Bound, it.bound)
        yield self._level("ingestor_ready", "Whether /readyz answers 200.", it.is_ready)

    def _levels(self) -> Iterator[Metric]:
        it = self._measured
        rate = inf if it.allowed_rate is None else it.allowed_rate
        yield self._level("ingestor_allowed_rate", "Requests a second that are allowed; +Inf without a limit.", rate)
        yield self._level("ingestor_in_flight", "Requests that wait for their answer.", it.in_flight)
        yield self._level("ingestor_slots", "The most requests that may be in flight at present.", it.slots)
        yield self._level("ingestor_backlog_records", "Records that wait to be sent.", it.backlog)
        yield self._level("ingestor_left_records", "Records that were read and have no outcome yet.", it.left)
        yield self._level("ingestor_lag_bytes", "Bytes of input that are not read; NaN: not known.", it.lag_bytes)
        lag = it.lag_seconds if it.lag_seconds is not None or it.lag_bytes else 0.0
        yield self._level("ingestor_lag_seconds", "Age of the oldest input that is not read; NaN: not known.", lag)
        yield self._level("ingestor_held_files", "Renamed or deleted files that are held open.", it.held_files)
        yield self._level("ingestor_held_bytes", "The size of the files that are held open.", it.held_bytes)

    def _times(self) -> Iterator[Metric]:
        it = self._measured
        yield self._level("ingestor_start_timestamp_seconds", "When this execution began.", it.started)
        yield self._level(
            "ingestor_oldest_unresolved_timestamp_seconds",
            "When the oldest record was sent whose result is not known; NaN if there is none.",
            it.oldest_unresolved,
        )
        yield self._level(
            "ingestor_last_created_timestamp_seconds",
            "When the last run was created or updated; 0: never, as far as is known.",
            it.last_created or 0,
        )
        yield self._level(
            "ingestor_last_success_timestamp_seconds",
            "When an execution of the batch last ended with exit code 0; 0: never, as far as is known.",
            it.last_success or 0,
        )
        yield self._level(
            "ingestor_last_exit_code",
            "The exit code of the last execution of the batch that ended; NaN: not known.",
            it.exit_code,
        )

    def _count(self, name: str, text: str, value: int) -> Metric:
        family = CounterMetricFamily(name, text, labels=_BATCH)
        family.add_metric(self._labels, value)
        return family

    def _counts(self, name: str, text: str, label: str, values: Mapping[Any, int]) -> Metric:
        family = CounterMetricFamily(name, text, labels=(*_BATCH, label))
        for value, count in values.items():
            family.add_metric((*self._labels, str(value)), count)
        return family

    def _level(self, name: str, text: str, value: float | None) -> Metric:
        family = GaugeMetricFamily(name, text, labels=_BATCH)
        family.add_metric(self._labels, nan if value is None else float(value))
        return family

    def _state(self, name: str, text: str, states: type[StrEnum], present: StrEnum | None) -> Metric:
        family = GaugeMetricFamily(name, text, labels=(*_BATCH, "state"))
        for state in states:
            family.add_metric((*self._labels, state.value.replace("-", "_")), float(state is present))
        return family

    def _histogram(self, name: str, text: str, durations: Durations) -> Metric:
        family = HistogramMetricFamily(name, text, labels=_BATCH)
        bounds = [(str(bound), count) for bound, count in durations.cumulative()]
        family.add_metric(self._labels, [*bounds, ("+Inf", durations.count)], durations.total)
        return family
