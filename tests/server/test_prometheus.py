"""The text of metrics, read by the parser of the Prometheus client."""

from dataclasses import replace
from math import inf, isnan

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from ingestor.model.activity import Bound, Health, Phase
from ingestor.model.durations import COMMIT_BOUNDS, LATENCY_BOUNDS, Durations
from ingestor.report.attempt_classes import AttemptClass
from ingestor.report.histogram import Histogram, as_durations
from ingestor.server.measurements import OUTCOMES, Measurements
from ingestor.server.prometheus import BEGINNING, as_text

NOTHING = Measurements(batch="nightly", version="1.2", python="3.11", started=1000.0, phase=Phase.OPENING)


def samples(measured: Measurements, *, process: bool = False) -> list[Sample]:
    text = as_text(measured, process=process).decode()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def values(measured: Measurements, name: str, label: str = "") -> dict[str, float]:
    found = {it.labels.get(label, ""): it.value for it in samples(measured) if it.name == name}
    assert found, name
    return found


def test_every_value_of_every_label_is_there_from_the_start() -> None:
    of_the_log = ["created", "updated", "partial", "duplicate", "forgotten", "rejected", "failed", "unresolved"]
    assert values(NOTHING, "ingestor_records_total", "outcome") == dict.fromkeys(of_the_log, 0.0)
    assert values(NOTHING, "ingestor_attempts_total", "class") == dict.fromkeys(AttemptClass, 0.0)
    answers = ["2xx", "429", "4xx", "5xx"]
    assert values(NOTHING, "ingestor_accept_requests_total", "class") == dict.fromkeys(answers, 0.0)
    assert values(NOTHING, "ingestor_accept_lines_total", "result") == {"accepted": 0.0, "rejected": 0.0}
    assert len(values(NOTHING, "ingestor_service_health", "state")) == len(Health)
    assert len(values(NOTHING, "ingestor_bound", "state")) == len(Bound)
    assert values(NOTHING, "ingestor_phase", "state")["opening"] == 1.0


def test_the_series_are_the_same_at_the_start_and_at_the_end() -> None:
    latency, commits = Durations(LATENCY_BOUNDS), Durations(COMMIT_BOUNDS)
    latency.add(0.2)
    commits.add(0.2)
    end = replace(
        NOTHING,
        outcomes={name: number for number, name in enumerate(OUTCOMES)},
        attempts=dict.fromkeys(AttemptClass, 7),
        latency=latency,
        commits=commits,
        phase=Phase.FINISHED,
        health=Health.HALF_OPEN,
        bound=Bound.OUTAGE,
        allowed_rate=17.5,
        lag_bytes=5,
        lag_seconds=2.0,
        oldest_unresolved=900.0,
        last_created=950.0,
        last_success=960.0,
        exit_code=3,
    )
    assert [(it.name, it.labels) for it in samples(end)] == [(it.name, it.labels) for it in samples(NOTHING)]
    assert values(end, "ingestor_service_health", "state")["half_open"] == 1.0
    assert values(end, "ingestor_last_exit_code") == {"": 3.0}


def test_no_series_has_a_creation_time_or_a_time_of_its_own_and_each_has_the_batch() -> None:
    for sample in samples(NOTHING):
        assert not sample.name.endswith("_created")
        assert sample.timestamp is None
        assert sample.labels["batch"] == "nightly"


def test_what_is_not_known_is_not_a_number_and_never_an_age_that_raises_an_alarm() -> None:
    assert isnan(values(NOTHING, "ingestor_lag_bytes")[""])
    assert isnan(values(NOTHING, "ingestor_last_exit_code")[""])
    assert isnan(values(NOTHING, "ingestor_oldest_unresolved_timestamp_seconds")[""])
    assert values(NOTHING, "ingestor_last_success_timestamp_seconds")[""] == 0.0
    assert values(NOTHING, "ingestor_allowed_rate")[""] == inf


def test_a_lag_of_no_bytes_is_a_lag_of_no_seconds() -> None:
    assert values(replace(NOTHING, lag_bytes=0), "ingestor_lag_seconds")[""] == 0.0
    assert isnan(values(replace(NOTHING, lag_bytes=1), "ingestor_lag_seconds")[""])


def test_hostile_names_of_batches_stay_inside_their_label() -> None:
    hostile = replace(NOTHING, batch='x"} 1\ningestor_ready 1 \\')
    assert {it.labels["batch"] for it in samples(hostile)} == {hostile.batch}


def test_a_histogram_counts_every_latency_under_the_first_bound_that_holds_it() -> None:
    histogram = Histogram()
    for milliseconds in (3.0, 40.0, 40.0, 700.0, 100_000.0):
        histogram.add(milliseconds)
    measured = replace(NOTHING, latency=as_durations(histogram, LATENCY_BOUNDS))
    buckets = values(measured, "ingestor_attempt_latency_seconds_bucket", "le")
    assert (buckets["0.005"], buckets["0.05"], buckets["1.0"], buckets["60.0"], buckets["+Inf"]) == (1, 3, 4, 4, 5)
    assert list(buckets.values()) == sorted(buckets.values())
    assert values(measured, "ingestor_attempt_latency_seconds_count")[""] == 5
    assert abs(values(measured, "ingestor_attempt_latency_seconds_sum")[""] / 100.783 - 1) < 0.02


def test_the_process_is_part_of_the_text_only_where_it_is_wanted() -> None:
    """A textfile collector has series of these names already."""
    assert not [it for it in as_text(NOTHING, process=False).decode().splitlines() if it.startswith("process_")]
    assert "process_resident_memory_bytes" in as_text(NOTHING, process=True).decode()
    assert as_text(NOTHING, process=False).decode().startswith(BEGINNING)
