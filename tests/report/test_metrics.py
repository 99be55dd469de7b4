from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.events import (
    AttemptEnded,
    BatchHalted,
    BatchPaused,
    BatchResumed,
    Event,
    InputRead,
    RateChanged,
    RecordRejected,
    RecordsAlreadyDone,
    RecordsDuplicate,
)
from ingestor.model.record import Origin, Outcome, Reject
from ingestor.model.reply import Fault, Reply
from ingestor.report.errors import CAPACITY, RETRIED, ErrorCount, ErrorTally, Example
from ingestor.report.histogram import MAX_MS, MIN_MS, WINDOW, Histogram
from ingestor.report.metrics import MOST_PAUSES, Metrics
from tests.report.examples import (
    JOB,
    Watch,
    attempt,
    created,
    failed,
    finished,
    partial,
    read,
    rejected,
    retried,
    unresolved,
)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def metrics(watch: Watch) -> Metrics:
    return Metrics(watch)


def emit(metrics: Metrics, *events: Event) -> None:
    for event in events:
        metrics.emit(event)


def test_every_outcome_is_counted(metrics: Metrics) -> None:
    emit(
        metrics,
        created(),
        created(),
        partial(),
        rejected(),
        failed(),
        unresolved(),
        RecordsDuplicate([(JOB, "run-1"), (JOB, "run-1")]),
    )
    assert metrics.counts == {
        Outcome.CREATED: 2,
        Outcome.PARTIAL: 1,
        Outcome.REJECTED: 1,
        Outcome.FAILED: 1,
        Outcome.UNRESOLVED: 1,
        Outcome.DUPLICATE: 2,
        Outcome.FORGOTTEN: 0,
    }


def test_records_of_earlier_executions_are_done_and_no_outcome(metrics: Metrics, watch: Watch) -> None:
    watch.time += 2.0
    emit(metrics, read(400, 100, 200), RecordsAlreadyDone(100), RecordsAlreadyDone(200), created())
    assert metrics.already_done == 300
    assert sum(metrics.counts.values()) == 1
    snapshot = metrics.snapshot()
    assert (snapshot.done, snapshot.total) == (301, 800)
    assert snapshot.rate == pytest.approx(150.5)


def test_attempts_429s_and_retries_are_counted(metrics: Metrics) -> None:
    emit(metrics, attempt(), attempt(throttled=True), retried(), attempt(repeated=True), retried())
    assert (metrics.attempts, metrics.throttled, metrics.retries) == (3, 1, 1)


def test_only_answers_have_a_latency(metrics: Metrics) -> None:
    emit(metrics, AttemptEnded(reply=Reply(fault=Fault.REFUSED, latency_ms=9_000.0), throttled=False))
    assert metrics.latency.quantile(0.5) is None
    emit(metrics, attempt(100.0))
    assert metrics.latency.quantile(0.99) == pytest.approx(100.0, rel=0.02)


def test_every_error_is_counted_once_with_its_cost(metrics: Metrics) -> None:
    emit(
        metrics, created(), rejected(), retried(), retried(Reply(fault=Fault.RESET)), partial(), failed(), unresolved()
    )
    assert {(error.cost, error.http_status, error.code, error.count) for error in metrics.errors.most_frequent(9)} == {
        (Outcome.REJECTED, None, None, 1),
        (RETRIED, 503, "ServiceUnavailable", 1),
        (RETRIED, None, "reset", 1),
        (Outcome.PARTIAL, 400, "InvalidParameter", 1),
        (Outcome.FAILED, 404, "NotAuthorizedOrNotFound", 1),
        (Outcome.UNRESOLVED, None, None, 1),
    }


def test_the_rate_is_that_of_the_last_seconds(metrics: Metrics, watch: Watch) -> None:
    for _ in range(10):
        watch.time += 1.0
        emit(metrics, *[created()] * 100)
    assert metrics.snapshot().rate == pytest.approx(100.0)
    watch.time += WINDOW
    assert metrics.snapshot().rate == 0.0


def test_the_rate_of_a_young_batch_is_that_since_its_start(metrics: Metrics, watch: Watch) -> None:
    watch.time += 2.0
    emit(metrics, *[created()] * 100)
    assert metrics.snapshot().rate == pytest.approx(50.0)


def test_total_and_time_left_follow_from_the_bytes_read(metrics: Metrics, watch: Watch) -> None:
    watch.time += 2.0
    emit(metrics, read(150, 100, 1_000), read(50, 200, 1_000), *[created()] * 100)
    snapshot = metrics.snapshot()
    assert (snapshot.done, snapshot.total) == (100, 1_000)
    assert snapshot.eta == pytest.approx(900 / 50)


def test_records_that_come_before_the_first_byte_do_not_count_in_the_estimate(metrics: Metrics) -> None:
    emit(metrics, read(1_000, 0, 10_000), read(50, 500, 10_000), read(50, 1_000, 10_000))
    assert metrics.snapshot().total == 1_000 + 1_000


def test_the_total_of_a_file_that_grew_meanwhile_is_what_was_read(metrics: Metrics) -> None:
    emit(metrics, read(100, 1_000, 1_000), read(7, 1_100, 1_000))
    assert metrics.snapshot().total == 107


def test_the_total_is_exact_once_all_is_read(metrics: Metrics) -> None:
    emit(metrics, read(123, 1_000, 1_000))
    assert metrics.snapshot().total == 123


@pytest.mark.parametrize("event", [read(5, 100, None), read(0, 0, 1_000)])
def test_without_a_size_or_a_record_there_is_no_total_and_no_time_left(metrics: Metrics, event: Event) -> None:
    emit(metrics, event)
    assert metrics.snapshot().total is None
    assert metrics.snapshot().eta is None


def test_while_nothing_moves_there_is_no_time_left(metrics: Metrics, watch: Watch) -> None:
    watch.time += 60.0
    emit(metrics, read(10, 10, 100))
    assert metrics.snapshot().eta is None


def test_where_nothing_is_sent_what_is_read_is_done() -> None:
    now = [0.0]
    metrics = Metrics(lambda: now[0], sends=False)
    now[0] = 1.0
    emit(metrics, InputRead(100, 500, 1_000, "a.jsonl"), RecordRejected(Reject(Origin("a.jsonl", 3), "bad", "{")))
    snapshot = metrics.snapshot()
    assert (snapshot.done, snapshot.total, snapshot.throttled) == (100, 200, None)
    assert (snapshot.rate, snapshot.eta) == (100.0, 1.0)
    assert metrics.counts[Outcome.REJECTED] == 1


def test_a_pause_is_shown_with_the_time_that_remains(metrics: Metrics, watch: Watch) -> None:
    emit(metrics, BatchPaused("429", 30.0))
    watch.time += 10.0
    assert metrics.snapshot().pause == BatchPaused("429", 20.0)
    watch.time += 60.0
    assert metrics.snapshot().pause == BatchPaused("429", 0.0)


def test_the_end_of_one_pause_does_not_end_another(metrics: Metrics) -> None:
    emit(metrics, BatchPaused("429", 30.0), BatchPaused("down", 60.0))
    assert metrics.snapshot().pause == BatchPaused("down", 60.0)
    emit(metrics, BatchResumed("down"))
    assert metrics.snapshot().pause == BatchPaused("429", 30.0)
    emit(metrics, BatchResumed("429"))
    assert metrics.snapshot().pause is None


@pytest.mark.parametrize("end", [BatchResumed("429"), BatchHalted("why", "what"), finished()])
def test_a_pause_ends(metrics: Metrics, end: Event) -> None:
    emit(metrics, BatchPaused("429", 30.0), end)
    assert metrics.snapshot().pause is None


def test_pauses_that_are_over_take_no_memory(metrics: Metrics, watch: Watch) -> None:
    for number in range(1_000):
        emit(metrics, BatchPaused(f"request {number} was refused", 1.0))
        watch.time += 2.0
    assert len(metrics._pauses) <= MOST_PAUSES


def test_pace_and_halt_are_remembered(metrics: Metrics) -> None:
    emit(metrics, RateChanged(100.0, "start"), RateChanged(127.0, "probing"), BatchHalted("why", "what"))
    assert metrics.pace == 127.0
    assert metrics.halt == BatchHalted("why", "what")


LATENCIES = st.lists(st.floats(MIN_MS, MAX_MS), min_size=1, max_size=200)


@given(LATENCIES, st.floats(0.001, 1.0))
def test_a_quantile_is_within_2_percent_of_the_exact_one(latencies: list[float], fraction: float) -> None:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    exact = sorted(latencies)[ceil(fraction * len(latencies)) - 1]
    assert histogram.quantile(fraction) == pytest.approx(exact, rel=0.02)


@given(st.lists(st.floats(allow_nan=False), max_size=50))
def test_memory_is_bounded_for_any_latencies(latencies: list[float]) -> None:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    widest = Histogram()
    widest.add(MIN_MS)
    widest.add(MAX_MS)
    lowest, highest = sorted(widest.buckets)
    assert highest - lowest < 780
    assert all(lowest <= bucket <= highest for bucket in histogram.buckets)


def test_there_is_no_quantile_without_values() -> None:
    assert Histogram().quantile(0.5) is None


def test_the_most_frequent_errors_come_first() -> None:
    tally = ErrorTally()
    for status in (503, 429, 503, 404, 503, 429):
        tally.add(RETRIED, status, "Code", "message")
    assert [(error.http_status, error.count) for error in tally.most_frequent(2)] == [(503, 3), (429, 2)]


def test_messages_that_differ_in_ids_and_numbers_are_one_error_with_the_first_message() -> None:
    tally = ErrorTally()
    for experiment in ("17", "18", "ocid1.x.oc1..aaa", "f81d4fae-7dec"):
        tally.add(Outcome.FAILED, 404, "NotFound", f"Experiment {experiment} was not found after 12.5 s.")
    assert tally.most_frequent(10) == [
        ErrorCount(4, Outcome.FAILED, 404, "NotFound", "Experiment 17 was not found after 12.5 s.", varies=True)
    ]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("No experiment named 'alpha' exists", "No experiment named 'beta' exists"),
        ('The tag "a b" is too long.', 'The tag "c" is too long.'),
        ("See /experiments/alpha/7 for details", "See /experiments/beta/8 for details"),
    ],
)
def test_messages_that_differ_in_quoted_names_are_one_error(one: str, other: str) -> None:
    tally = ErrorTally()
    tally.add(Outcome.FAILED, 404, "NotFound", one)
    tally.add(Outcome.FAILED, 404, "NotFound", other)
    assert tally.most_frequent(10) == [ErrorCount(2, Outcome.FAILED, 404, "NotFound", one, varies=True)]


def test_messages_that_differ_in_the_name_of_the_experiment_of_their_record_are_one_error() -> None:
    tally = ErrorTally()
    for name in ("alpha", "gamma"):
        tally.add(Outcome.FAILED, 404, "NotFound", f"Experiment {name} does not exist.", name)
    assert [error.count for error in tally.most_frequent(10)] == [2]


def test_a_kind_of_error_has_its_first_example_and_the_times_of_the_first_and_the_last() -> None:
    times = iter((10.0, 20.0, 30.0))
    tally = ErrorTally(lambda: next(times))
    for number in range(3):
        example = Example(job_id=f"j{number}", source="runs.jsonl", line=number, request_id=f"q{number}")
        tally.add(Outcome.FAILED, 500, None, "broken", example=[example].pop)
    (error,) = tally.most_frequent(10)
    assert (error.count, error.first_at, error.last_at) == (3, 10.0, 30.0)
    assert error.example == Example(job_id="j0", source="runs.jsonl", line=0, request_id="q0")


def test_an_apostrophe_is_no_quotation_mark() -> None:
    tally = ErrorTally()
    tally.add(Outcome.FAILED, 400, None, "The tag can't be long, and it isn't short.")
    tally.add(Outcome.FAILED, 400, None, "The tag can't be empty, and it isn't short.")
    assert len(tally.most_frequent(10)) == 2


def test_messages_that_differ_in_words_are_different_errors() -> None:
    tally = ErrorTally()
    tally.add(Outcome.REJECTED, None, None, "tags: is not an object")
    tally.add(Outcome.REJECTED, None, None, "run_name: is not a string")
    assert len(tally.most_frequent(10)) == 2


def test_errors_with_different_costs_are_different_errors() -> None:
    tally = ErrorTally()
    tally.add(RETRIED, 503, None, "busy")
    tally.add(Outcome.FAILED, 503, None, "busy")
    assert {error.cost for error in tally.most_frequent(10)} == {RETRIED, Outcome.FAILED}


def test_only_so_many_kinds_are_kept_and_the_other_errors_are_counted() -> None:
    tally = ErrorTally()
    words = [f"word{'x' * number}" for number in range(CAPACITY + 5)]
    for word in words + words[:1]:
        tally.add(Outcome.FAILED, 400, None, word)
    errors = tally.most_frequent(CAPACITY * 2)
    assert len(errors) == CAPACITY
    assert errors[0].count == 2
    assert tally.others == 5


def test_a_long_message_is_shortened() -> None:
    tally = ErrorTally()
    tally.add(Outcome.FAILED, 400, None, "x" * 1_000_000)
    assert len(tally.most_frequent(1)[0].message) == 300
