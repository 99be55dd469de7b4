"""The one sentence that says what a batch does, and why it is not faster."""

from dataclasses import replace
from math import inf

import pytest

from ingestor.model.activity import Activity, Bound, Health, Hold, Phase
from ingestor.model.record import Outcome
from ingestor.report.situation import Situation, sentence

NOW = 1_767_276_000.0  # 2026-01-01, 14:00 UTC
SENDING = Activity(
    health=Health.UP, bound=Bound.SERVICE, allowed_rate=482.3, in_flight=30, slots=64, backlog=900, left=930
)
RUNNING = Situation(phase=Phase.RUNNING, activity=SENDING, counts={Outcome.CREATED: 1204}, left=930, rate=481.0)


@pytest.mark.parametrize(
    ("bound", "words"),
    [
        (Bound.SERVICE, "limited by the service: 482/s allowed"),
        (Bound.RATE, "limited by --rate: 482/s allowed"),
        (Bound.GROWTH, "faster and faster until the limit of the service is found: 482/s allowed"),
        (Bound.SLOTS, "limited by 64 requests in flight at once"),
        (Bound.INPUT, "limited by the input"),
        (Bound.JOURNAL, "limited by the journal, which waits for its disk"),
        (Bound.PROCESSOR, "limited by the processor of this machine"),
        (Bound.NOTHING, "not limited so far"),
    ],
)
def test_it_says_why_a_batch_is_not_faster(bound: Bound, words: str) -> None:
    assert sentence(replace(RUNNING, activity=replace(SENDING, bound=bound)), NOW) == f"sending 481/s, {words}"


def test_every_bound_has_words() -> None:
    for bound in Bound:
        assert sentence(replace(RUNNING, activity=replace(SENDING, bound=bound)), NOW)


@pytest.mark.parametrize(
    ("hold", "words"),
    [
        (Hold(reason="the service is down: refused", seconds=60, left=inf), "13:59 UTC: refused"),
        (Hold(reason="refused", seconds=7080, left=40), "12:02 UTC: refused; next request in 40.0 s"),
        (Hold(reason="refused", seconds=7080, left=0.2), "12:02 UTC: refused; next request soon"),
        (Hold(reason="refused", seconds=7080, left=inf), "12:02 UTC: refused"),
        (Hold(reason="refused", seconds=200_000, left=40), "2025-12-30 06:26 UTC: refused; next request in 40.0 s"),
        (
            Hold(reason="429", seconds=60, left=3540, gives_up=True),
            "13:59 UTC: 429; the batch stops in 59 min 00 s unless a request succeeds",
        ),
    ],
)
def test_a_service_that_is_waited_for_comes_with_since_when_why_and_what_follows(hold: Hold, words: str) -> None:
    holding = replace(RUNNING, activity=replace(SENDING, bound=Bound.OUTAGE, hold=hold))
    assert sentence(holding, NOW) == f"waiting for the service since {words}"


@pytest.mark.parametrize(
    ("situation", "words"),
    [
        (Situation(phase=Phase.OPENING), "starting: opening the state directory and the service"),
        (
            replace(RUNNING, left=0, activity=replace(SENDING, bound=Bound.INPUT, left=0)),
            "waiting for records: 1,204 in, 0 left",
        ),
        (
            replace(RUNNING, left=3, activity=replace(SENDING, bound=Bound.INPUT, left=3, is_reading=False)),
            "waiting for the last answers: 1,204 in, 3 left",
        ),
        (
            replace(RUNNING, phase=Phase.DRAINING, reason="stopped by SIGTERM", left=17),
            "reading and sending what exists (stopped by SIGTERM): 1,204 in, 17 left so far",
        ),
        (
            replace(RUNNING, phase=Phase.DRAINING, activity=replace(SENDING, is_reading=False), left=17),
            "finishing what was begun: 1,204 in, 17 left so far",
        ),
        (
            replace(
                RUNNING,
                phase=Phase.DRAINING,
                activity=replace(SENDING, hold=Hold(reason="refused", seconds=60, left=40)),
            ),
            (
                "reading and sending what exists: 1,204 in, 930 left so far; "
                "waiting for the service since 13:59 UTC: refused; next request in 40.0 s"
            ),
        ),
        (
            replace(RUNNING, phase=Phase.FINISHED, activity=None, left=0, exit_code=0),
            "finished with exit code 0: 1,204 in, 0 left",
        ),
        (
            replace(RUNNING, phase=Phase.FINISHED, left=17, is_cut=True, exit_code=75, reason="stopped by SIGTERM"),
            "stopped with exit code 75: 1,204 in, 17 left, and the input was not read to its end; stopped by SIGTERM",
        ),
        (
            replace(RUNNING, phase=Phase.FINISHED, left=17, is_cut=True, unread_bytes=12 * 2**20, exit_code=75),
            "stopped with exit code 75: 1,204 in, 17 left, and 12.0 MiB of input are not read",
        ),
        (
            replace(RUNNING, phase=Phase.FINISHED, left=0, exit_code=4, reason="404: no such workspace"),
            "halted with exit code 4: 1,204 in, 0 left; 404: no such workspace",
        ),
    ],
)
def test_each_phase_has_its_words(situation: Situation, words: str) -> None:
    assert sentence(situation, NOW) == words


def test_what_is_not_in_the_service_is_counted_by_itself() -> None:
    counts = {
        Outcome.CREATED: 5,
        Outcome.PARTIAL: 1,
        Outcome.DUPLICATE: 2,
        Outcome.REJECTED: 3,
        Outcome.FAILED: 4,
        Outcome.UNRESOLVED: 6,
    }
    ended = Situation(phase=Phase.FINISHED, counts=counts, already_done=1000, left=0, exit_code=3)
    assert sentence(ended, NOW) == ("finished with exit code 3: 1,008 in, 3 rejected, 4 failed, 6 unresolved, 0 left")


def test_what_the_service_says_is_short_and_has_no_control_characters() -> None:
    hold = Hold(reason="\x1b[2J\u202e\n" + "x" * 5000, seconds=60, left=40)
    words = sentence(replace(RUNNING, activity=replace(SENDING, hold=hold)), NOW)
    assert words.startswith(r"waiting for the service since 13:59 UTC: \x1b[2J\u202e\n")
    assert words.isprintable()
    assert len(words) < 500


def test_that_no_records_are_accepted_is_said_with_its_reason_whatever_else_is_done() -> None:
    full = replace(RUNNING, refused_because="the disk is full\n")
    waiting = replace(full, activity=replace(SENDING, bound=Bound.INPUT, left=0), left=0)
    assert sentence(waiting, NOW) == (
        "waiting for records: 1,204 in, 0 left; no records are accepted: the disk is full\\n"
    )
    for phase in (Phase.RUNNING, Phase.DRAINING):
        assert sentence(replace(full, phase=phase), NOW).endswith("; no records are accepted: the disk is full\\n")
    assert "accepted" not in sentence(replace(full, phase=Phase.FINISHED, exit_code=0), NOW)
