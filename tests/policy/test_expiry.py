"""A token that may have expired protects nothing, and one that may live is not forgotten, however clocks are set."""

from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from ingestor.app.machine import SteadyClock
from ingestor.model.admission import JournalTime
from ingestor.policy.expiry import CLOCK_ERROR, MARGIN, NEVER, forgotten, protects
from ingestor.policy.identity import TOKEN_LIFE

FIRST = 1_700_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR
WHOLE_LIFE = TOKEN_LIFE + MARGIN + 1.0
ROUNDING = 1e-3


def at(time: float, trusted_since: float = 0.0) -> JournalTime:
    return JournalTime(time, time, trusted_since)


def test_a_token_protects_until_half_an_hour_before_its_end() -> None:
    assert protects(FIRST, at(FIRST))
    assert protects(FIRST, at(FIRST + 23.4 * HOUR))
    assert not protects(FIRST, at(FIRST + 23.5 * HOUR))


def test_a_token_is_forgotten_only_half_an_hour_after_its_end() -> None:
    assert not forgotten(FIRST, at(FIRST + 24.5 * HOUR))
    assert forgotten(FIRST, at(FIRST + 24.5 * HOUR + 1))


def test_a_token_from_before_a_break_of_unknown_length_is_neither_young_nor_old() -> None:
    resumed_at = FIRST + 2 * HOUR
    assert not protects(FIRST, at(FIRST + 3 * HOUR, resumed_at))
    assert not forgotten(FIRST, at(FIRST + 26 * HOUR, resumed_at))
    assert forgotten(FIRST, at(FIRST + 26.6 * HOUR, resumed_at))
    assert protects(resumed_at, at(FIRST + 3 * HOUR, resumed_at))


def test_the_life_of_a_token_that_was_never_sent_begins_with_its_first_attempt() -> None:
    assert forgotten(NEVER, at(FIRST, FIRST))


@dataclass
class Machine:
    """Real time, and the clocks of a machine on which one process after the other works over one journal."""

    real: float = FIRST
    offset: float = 0.0
    last: JournalTime | None = None
    hidden: float = 0.0
    """Seconds by which a clock was set back undetected: between two processes, by less than the time that passed."""
    ahead: float = 0.0
    """Seconds by which the clock was set forward."""

    def __post_init__(self) -> None:
        self.clock = SteadyClock(lambda: self.real + self.offset, lambda: self.real)

    def now(self) -> JournalTime:
        """Return the time as a process knows it; the journal records it."""
        self.last = self.clock.now()
        return self.last

    def step(self, seconds: float) -> None:
        """Set the wall clock while a process is at work."""
        self.now()
        self.offset += seconds
        self.ahead += max(0.0, seconds)
        self.now()

    def restart(self, seconds: float, step: float) -> None:
        """Let a process end and the next one begin after a while, with the wall clock set in between."""
        last = self.now()
        self.real += seconds
        self.offset += step
        self.ahead += max(0.0, step)
        if self.real + self.offset >= last.wall - CLOCK_ERROR:
            self.hidden += min(seconds, max(0.0, -step))
        self.clock = SteadyClock(lambda: self.real + self.offset, lambda: self.real)
        self.clock.resume(last)


times = st.one_of(st.floats(0, 60), st.floats(0, 2 * DAY))
steps = st.one_of(st.just(0.0), st.floats(-60, 60), st.floats(-40 * DAY, 40 * DAY))
histories = st.lists(st.tuples(st.sampled_from(["work", "step", "restart"]), times, steps), max_size=8)


def happen(machine: Machine, history: list[tuple[str, float, float]]) -> None:
    for what, seconds, step in history:
        if what == "work":
            machine.now()
            machine.real += seconds
        elif what == "step":
            machine.step(step)
        else:
            machine.restart(seconds, step)


@given(before=histories, after=histories)
@example(before=[], after=[("step", 0.0, -20 * HOUR), ("restart", 23.9 * HOUR, 0.0)])
@example(before=[], after=[("restart", 60.0, -20 * HOUR), ("restart", 23.9 * HOUR, 0.0)])
@example(before=[("step", 0.0, 30 * DAY)], after=[("restart", 60.0, -30 * DAY), ("restart", 23.9 * HOUR, 0.0)])
def test_no_token_counts_as_younger_than_it_is_but_by_a_clock_that_is_set_back_undetected(
    before: list[tuple[str, float, float]], after: list[tuple[str, float, float]]
) -> None:
    machine = Machine()
    happen(machine, before)
    sent_at, first, hidden = machine.real, machine.now().time, machine.hidden
    happen(machine, after)
    if protects(first, machine.now()):
        assert machine.real - sent_at < TOKEN_LIFE - MARGIN + (machine.hidden - hidden) + ROUNDING


@given(before=histories, after=histories)
def test_no_token_is_forgotten_during_its_life_except_by_a_clock_that_is_ahead(
    before: list[tuple[str, float, float]], after: list[tuple[str, float, float]]
) -> None:
    machine = Machine()
    happen(machine, before)
    sent_at, first, ahead = machine.real, machine.now().time, machine.ahead
    happen(machine, after)
    if forgotten(first, machine.now()):
        assert machine.real - sent_at > TOKEN_LIFE + MARGIN - (machine.ahead - ahead) - ROUNDING


@given(history=histories)
def test_time_never_runs_backwards(history: list[tuple[str, float, float]]) -> None:
    machine = Machine()
    times = [machine.now().time]
    for event in history:
        happen(machine, [event])
        times.append(machine.now().time)
    assert times == sorted(times)


@given(before=histories, after=histories)
def test_a_token_is_forgotten_after_a_day_and_an_hour_of_a_clock_that_runs(
    before: list[tuple[str, float, float]], after: list[tuple[str, float, float]]
) -> None:
    machine = Machine()
    happen(machine, before)
    first = machine.now().time
    happen(machine, after)
    machine.restart(WHOLE_LIFE, 0.0)
    assert forgotten(first, machine.now())
    assert protects(machine.now().time, machine.now())


def test_a_clock_that_was_far_ahead_and_is_set_right_forgets_no_token_during_its_life() -> None:
    machine = Machine()
    first = machine.now().time
    machine.restart(HOUR, 30 * DAY)
    assert not protects(first, machine.now())
    machine.restart(HOUR, -30 * DAY)
    assert not protects(first, machine.now())
    assert not forgotten(first, machine.now())
    assert protects(machine.now().time, machine.now()), "a token that is first sent now protects"
    machine.restart(WHOLE_LIFE, 0.0)
    assert forgotten(first, machine.now())


def test_a_token_ages_while_the_machine_sleeps() -> None:
    """The monotonic clock may stop meanwhile; the wall clock does not."""
    machine = Machine()
    first = machine.now().time
    machine.step(23.6 * HOUR)
    assert not protects(first, machine.now())
