import pytest

from ingestor.model.events import (
    AttemptEnded,
    BatchHalted,
    BatchPaused,
    BatchResumed,
    Event,
    RateChanged,
    RecordsDuplicate,
)
from ingestor.model.outcome import Outcome
from ingestor.model.reply import Fault, Reply
from ingestor.report.metrics import WINDOW, Metrics
from ingestor.report.snapshot import Pause
from ingestor.report.tally import Cost
from tests.report.examples import JOB, Watch, attempt, created, failed, finished, read, rejected, retried, unresolved


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def metrics(watch: Watch) -> Metrics:
    return Metrics(watch)


def tell(metrics: Metrics, *events: Event) -> None:
    for event in events:
        metrics.emit(event)


def test_every_outcome_is_counted(metrics: Metrics) -> None:
    tell(
        metrics,
        created(),
        created(),
        rejected(),
        failed(),
        unresolved(),
        RecordsDuplicate([(JOB, "run-1"), (JOB, "run-1")]),
    )
    assert metrics.counts == {
        Outcome.CREATED: 2,
        Outcome.REJECTED: 1,
        Outcome.FAILED: 1,
        Outcome.UNRESOLVED: 1,
        Outcome.DUPLICATE: 2,
    }


def test_attempts_429s_and_retries_are_counted(metrics: Metrics) -> None:
    tell(metrics, attempt(), attempt(throttled=True), attempt(), retried())
    assert (metrics.attempts, metrics.throttled, metrics.retries) == (3, 1, 1)


def test_only_answers_have_a_latency(metrics: Metrics) -> None:
    tell(metrics, AttemptEnded(reply=Reply(fault=Fault.REFUSED, latency_ms=9_000.0), throttled=False))
    assert metrics.latency.quantile(0.5) is None
    tell(metrics, attempt(100.0))
    assert metrics.latency.quantile(0.99) == pytest.approx(100.0, rel=0.02)


def test_every_error_is_counted_once_with_what_it_cost(metrics: Metrics) -> None:
    tell(metrics, created(), rejected(), retried(), retried(Reply(fault=Fault.RESET)), failed(), unresolved())
    assert {(error.cost, error.http_status, error.code, error.count) for error in metrics.errors.most_frequent(9)} == {
        (Cost.REJECTED, None, None, 1),
        (Cost.RETRIED, 503, "ServiceUnavailable", 1),
        (Cost.RETRIED, None, "reset", 1),
        (Cost.FAILED, 404, "NotAuthorizedOrNotFound", 1),
        (Cost.UNRESOLVED, None, None, 1),
    }


def test_the_rate_is_that_of_the_last_seconds(metrics: Metrics, watch: Watch) -> None:
    for _ in range(10):
        watch.time += 1.0
        tell(metrics, *[created()] * 100)
    assert metrics.snapshot().rate == pytest.approx(100.0)
    watch.time += WINDOW
    assert metrics.snapshot().rate == 0.0


def test_the_rate_of_a_young_batch_is_that_since_its_start(metrics: Metrics, watch: Watch) -> None:
    watch.time += 2.0
    tell(metrics, *[created()] * 100)
    assert metrics.snapshot().rate == pytest.approx(50.0)


def test_total_and_time_left_follow_from_the_bytes_read(metrics: Metrics, watch: Watch) -> None:
    watch.time += 2.0
    tell(metrics, read(150, 100, 1_000), read(50, 200, 1_000), *[created()] * 100)
    snapshot = metrics.snapshot()
    assert (snapshot.done, snapshot.total) == (100, 1_000)
    assert snapshot.eta == pytest.approx(900 / 50)


def test_the_total_is_exact_once_all_is_read(metrics: Metrics) -> None:
    tell(metrics, read(123, 1_000, 1_000))
    assert metrics.snapshot().total == 123


@pytest.mark.parametrize("event", [read(5, 100, None), read(0, 0, 1_000)])
def test_without_a_size_or_a_record_there_is_no_total_and_no_time_left(metrics: Metrics, event: Event) -> None:
    tell(metrics, event)
    assert metrics.snapshot().total is None
    assert metrics.snapshot().eta is None


def test_while_nothing_moves_there_is_no_time_left(metrics: Metrics, watch: Watch) -> None:
    watch.time += 60.0
    tell(metrics, read(10, 10, 100))
    assert metrics.snapshot().eta is None


def test_a_pause_is_told_with_what_remains_of_it(metrics: Metrics, watch: Watch) -> None:
    tell(metrics, BatchPaused("429", 30.0))
    watch.time += 10.0
    assert metrics.snapshot().pause == Pause("429", 20.0)
    watch.time += 60.0
    assert metrics.snapshot().pause == Pause("429", 0.0)


@pytest.mark.parametrize("end", [BatchResumed(), BatchHalted("why", "what"), finished()])
def test_a_pause_ends(metrics: Metrics, end: Event) -> None:
    tell(metrics, BatchPaused("429", 30.0), end)
    assert metrics.snapshot().pause is None


def test_pace_and_halt_are_remembered(metrics: Metrics) -> None:
    tell(metrics, RateChanged(100.0, "start"), RateChanged(127.0, "probing"), BatchHalted("why", "what"))
    assert metrics.pace == 127.0
    assert metrics.halt == BatchHalted("why", "what")
