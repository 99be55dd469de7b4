"""A token that may have expired protects nothing, and one that may live is not let go of, wherever clocks are set."""

from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from ingestor.app.clock import SteadyClock
from ingestor.model.journal_time import JournalTime
from ingestor.policy.expiry import CLOCK_ERROR, MARGIN, NEVER, forgotten, protects
from ingestor.policy.identity import TOKEN_LIFE

FIRST = 1_700_000_000.0
HOUR = 3600.0
DAY = 24 * HOUR
CALM = TOKEN_LIFE + MARGIN + 1.0
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


def test_what_was_before_a_rest_of_unknown_length_is_neither_young_nor_old() -> None:
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
    """Seconds by which a clock was set back unseen: between two processes, by less than the time that passed."""
    ahead: float = 0.0
    """Seconds by which the clock was set forward."""

    def __post_init__(self) -> None:
        self.clock = SteadyClock(lambda: self.real + self.offset, lambda: self.real)

    def now(self) -> JournalTime:
        """Return the moment that a process sees, and the journal witnesses."""
        self.last = self.clock.moment()
        return self.last

    def step(self, seconds: float) -> None:
        """Set the wall clock while a process is at work."""
        self.now()
        self.offset += seconds
        self.ahead += max(0.0, seconds)
        self.now()

    def rest(self, seconds: float, step: float) -> None:
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
histories = st.lists(st.tuples(st.sampled_from(["work", "step", "rest"]), times, steps), max_size=8)


def happen(machine: Machine, history: list[tuple[str, float, float]]) -> None:
    for what, seconds, step in history:
        if what == "work":
            machine.now()
            machine.real += seconds
        elif what == "step":
            machine.step(step)
        else:
            machine.rest(seconds, step)


@given(before=histories, after=histories)
@example(before=[], after=[("step", 0.0, -20 * HOUR), ("rest", 23.9 * HOUR, 0.0)])
@example(before=[], after=[("rest", 60.0, -20 * HOUR), ("rest", 23.9 * HOUR, 0.0)])
@example(before=[("step", 0.0, 30 * DAY)], after=[("rest", 60.0, -30 * DAY), ("rest", 23.9 * HOUR, 0.0)])
def test_no_token_is_taken_for_younger_than_it_is_but_for_what_nobody_can_see(
    before: list[tuple[str, float, float]], after: list[tuple[str, float, float]]
) -> None:
    machine = Machine()
    happen(machine, before)
    sent_at, first, hidden = machine.real, machine.now().time, machine.hidden
    happen(machine, after)
    if protects(first, machine.now()):
        assert machine.real - sent_at < TOKEN_LIFE - MARGIN + (machine.hidden - hidden) + ROUNDING


@given(before=histories, after=histories)
def test_no_token_is_let_go_of_while_it_lives_but_by_a_clock_that_is_ahead(
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
    moments = [machine.now().time]
    for event in history:
        happen(machine, [event])
        moments.append(machine.now().time)
    assert moments == sorted(moments)


@given(before=histories, after=histories)
def test_nothing_stays_undecided_for_more_than_a_day_of_a_clock_that_runs(
    before: list[tuple[str, float, float]], after: list[tuple[str, float, float]]
) -> None:
    machine = Machine()
    happen(machine, before)
    first = machine.now().time
    happen(machine, after)
    machine.rest(CALM, 0.0)
    assert forgotten(first, machine.now())
    assert protects(machine.now().time, machine.now())


def test_a_clock_that_was_far_ahead_and_is_set_right_frees_no_token_that_lives() -> None:
    machine = Machine()
    first = machine.now().time
    machine.rest(HOUR, 30 * DAY)
    assert not protects(first, machine.now())
    machine.rest(HOUR, -30 * DAY)
    assert not protects(first, machine.now())
    assert not forgotten(first, machine.now())
    assert protects(machine.now().time, machine.now()), "what is sent from now on is as safe as ever"
    machine.rest(CALM, 0.0)
    assert forgotten(first, machine.now())


def test_a_machine_that_slept_has_aged() -> None:
    """A monotonic clock may stand still meanwhile: the wall clock tells."""
    machine = Machine()
    first = machine.now().time
    machine.step(23.6 * HOUR)
    assert not protects(first, machine.now())
