"""The circuit breaker: which failures show that the service is down."""

from ingestor.model.reply import Fault, Reply
from ingestor.policy.breaker import BREADTH, CircuitBreaker, Outage
from ingestor.policy.watchdog import Watchdog

TIMEOUT = Reply(fault=Fault.TIMEOUT)


def fail(breaker: CircuitBreaker, *, sent_at: float, is_look_up: bool = False) -> None:
    for number in range(BREADTH):
        breaker.failed(f"job-{number}", TIMEOUT, 60.0 + number, sent_at, is_look_up=is_look_up)


def test_timeouts_of_attempts_that_were_sent_after_the_last_answered_one_show_an_outage() -> None:
    breaker = CircuitBreaker(Watchdog(600.0))
    breaker.answered(10.0, 9.9, throttled=False)
    fail(breaker, sent_at=10.0)
    assert breaker.state is Outage.DOWN


def test_timeouts_of_attempts_that_were_sent_before_an_answered_one_show_none() -> None:
    """They were hung for long; the service answered others meanwhile."""
    breaker = CircuitBreaker(Watchdog(600.0))
    breaker.answered(10.0, 9.9, throttled=False)
    fail(breaker, sent_at=9.0)
    assert breaker.state is None


def test_timeouts_of_look_ups_show_no_outage_while_later_look_ups_are_answered() -> None:
    """A few look-ups that hang must not stop the others: without retry tokens each record may wait for one."""
    breaker = CircuitBreaker(Watchdog(600.0))
    breaker.looked_up(9.9)
    fail(breaker, sent_at=9.0, is_look_up=True)
    assert breaker.state is None


def test_answered_look_ups_hide_no_outage_of_attempts() -> None:
    breaker = CircuitBreaker(Watchdog(600.0))
    breaker.looked_up(9.9)
    fail(breaker, sent_at=9.0)
    assert breaker.state is Outage.DOWN


def test_hours_without_a_due_job_while_the_service_answers_probes_are_no_downtime() -> None:
    """Else the last records, if they always fail, are retried for ever: their budget is measured in uptime."""
    breaker, reply, hour = CircuitBreaker(Watchdog(600.0)), Reply(status=500), 3600.0
    for number in range(BREADTH):
        breaker.failed(f"job-{number}", reply, 0.0)
    for number in range(10):
        now = number * hour
        breaker.probe_answered(now + 8.0)
        breaker.failed("job-0", reply, now + hour)
    assert breaker.state is Outage.DOWN
    assert 10 * (hour - 80.0) < breaker.uptime(10 * hour) < 10 * hour
