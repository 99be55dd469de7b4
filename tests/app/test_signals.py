"""The signals of a batch, sent by this process to itself."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from ingestor.app.signals import ONE_STOP, StopSignals
from ingestor.system.stops import REOPENS_LOG, SHOWS_STATUS, STOPS, STOPS_NOTHING, taken_signals
from tests.report.examples import Watch


@dataclass
class Calls:
    """What the signals called."""

    clock: Watch = field(default_factory=Watch)
    made: list[str] = field(default_factory=list)

    def signals(self) -> StopSignals:
        return StopSignals(
            lambda call, *arguments: call(*arguments),
            on_stop=lambda name: self.made.append(f"stop by {name}"),
            on_second=lambda: self.made.append("end at once"),
            on_reopen=lambda: self.made.append("reopen"),
            on_status=lambda: self.made.append("status"),
            seconds=600.0,
            clock=self.clock,
        )


@pytest.fixture
def calls() -> Iterator[Calls]:
    """Disarm the timer, which is that of the tests' time limit too."""
    handler = signal.getsignal(signal.SIGALRM)
    signal.setitimer(signal.ITIMER_REAL, 0)
    yield Calls()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def exits_after() -> float:
    return signal.getitimer(signal.ITIMER_REAL)[0]


@pytest.mark.parametrize(("number", "name"), STOPS.items())
def test_a_stop_signal_stops_by_its_name_and_the_process_ends_in_any_case(calls: Calls, number: int, name: str) -> None:
    with calls.signals():
        send(number)
        assert calls.made == [f"stop by {name}"]
        assert 590 < exits_after() <= 600


def test_signals_within_a_second_count_as_one_and_a_later_one_ends_at_once(calls: Calls) -> None:
    with calls.signals() as signals:
        send(signal.SIGTERM)
        calls.clock.time += ONE_STOP
        send(signal.SIGTERM)
        send(signal.SIGINT)
        assert (calls.made, signals.count) == (["stop by SIGTERM"], 1)
        calls.clock.time += 0.01
        send(signal.SIGTERM)
        assert (calls.made, signals.count) == (["stop by SIGTERM", "end at once"], 2)
        assert 0 < exits_after() <= 2


def test_a_decided_end_is_not_a_stop_any_more_and_is_not_waited_for_long(calls: Calls) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        with calls.signals() as signals:
            signals.finish(0)
            assert exits_after() == 0
            send(signal.SIGTERM)
            send(REOPENS_LOG)
        assert (calls.made, signals.count) == ([], 0)
        assert 0 < exits_after() <= 2
    finally:
        for number in (*STOPS, *STOPS_NOTHING):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.signal(signal.SIGTERM, before)


def test_the_log_is_opened_anew_on_its_signal(calls: Calls) -> None:
    with calls.signals():
        send(REOPENS_LOG)
        send(REOPENS_LOG)
    assert calls.made == ["reopen", "reopen"]


def test_the_signal_for_a_status_line_stops_nothing_however_often_it_comes(calls: Calls) -> None:
    with calls.signals() as signals:
        for number in sorted(SHOWS_STATUS):
            send(number)
            send(number)
        assert (signals.count, exits_after()) == (0, 0)
    assert calls.made == ["status", "status"] * len(SHOWS_STATUS)


def test_a_signal_that_is_ignored_at_the_start_stays_ignored(calls: Calls) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert signal.SIGHUP not in taken_signals()
        with calls.signals():
            send(signal.SIGHUP)
        assert calls.made == []
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_handlers_from_before_are_there_again_afterwards(calls: Calls) -> None:
    before = taken_signals()
    with calls.signals():
        assert taken_signals() != before
    assert taken_signals() == before
