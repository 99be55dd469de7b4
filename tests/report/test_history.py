"""How fast a batch was: points of a second, a minute and an hour, in bounded memory."""

from dataclasses import replace

import pytest

from ingestor.model.history import STEPS, Point
from ingestor.report.histogram import Histogram
from ingestor.report.history import History, Sample, without_gaps

HOUR = 1_700_002_800  # a full hour


def sample(now: float, *, seconds: float = 1.0, accepted: int = 0, latencies: tuple[float, ...] = ()) -> Sample:
    latency = Histogram()
    for value in latencies:
        latency.add(value)
    return Sample(
        now=now,
        seconds=seconds,
        accepted=accepted,
        refused=0,
        errors=0,
        allowed=None,
        latency=latency,
        backlog=0,
        paused=0.0,
    )


def test_every_second_is_a_point_and_minutes_and_hours_sum_them_up() -> None:
    history = History()
    for second in range(130):
        history.add(sample(HOUR + second + 0.5, accepted=second, latencies=(float(second + 1),)))
    seconds, minutes, hours = (history.points(step) for step in STEPS)
    assert [it.accepted for it in seconds] == list(range(130))
    assert [(it.start, it.seconds, it.accepted) for it in minutes] == [
        (HOUR, 60, sum(range(60))),
        (HOUR + 60, 60, sum(range(60, 120))),
        (HOUR + 120, 10, sum(range(120, 130))),
    ]
    assert [(it.start, it.accepted) for it in hours] == [(HOUR, sum(range(130)))]
    assert minutes[0].latency_p50 == pytest.approx(30, rel=0.02)
    assert hours[0].latency_p95 == pytest.approx(124, rel=0.02)


def test_levels_are_means_and_the_backlog_is_the_highest() -> None:
    history = History()
    first = replace(sample(HOUR), allowed=10.0, backlog=7, refused=3, errors=2, paused=1.0)
    history.add(first)
    history.add(replace(first, now=HOUR + 1, allowed=30.0, backlog=5, paused=0.0))
    history.add(replace(first, now=HOUR + 2, allowed=None, backlog=0, paused=0.0))
    (minute,) = history.points(60)
    assert (minute.allowed, minute.backlog, minute.refused, minute.errors, minute.paused) == (20.0, 7, 9, 6, 1.0)


def test_a_week_takes_no_more_memory_than_the_points_that_are_kept() -> None:
    history = History()
    for second in range(0, 8 * 24 * 3600, 20):
        history.add(sample(HOUR + second, seconds=20.0, accepted=1))
    kept = {step: history.points(step) for step in STEPS}
    assert len(kept[1]) <= STEPS[1]
    assert len(kept[60]) == STEPS[60]
    assert sum(it.accepted for it in kept[3600]) == 8 * 24 * 3600 / 20
    assert kept[1][0].start > kept[1][-1].start - STEPS[1]


def test_another_execution_continues_a_point_that_is_not_complete() -> None:
    before = History()
    before.add(replace(sample(HOUR, accepted=10, latencies=(10.0,) * 10), allowed=4.0, backlog=9))
    after = History(point for step in STEPS for point in before.points(step))
    assert after.points(3600) == before.points(3600)
    after.add(replace(sample(HOUR + 30, accepted=30, latencies=(30.0,) * 30), allowed=8.0))
    (hour,) = after.points(3600)
    assert (hour.seconds, hour.accepted, hour.allowed, hour.backlog) == (2.0, 40, 6.0, 9)
    assert hour.latency_p50 == pytest.approx(25, rel=0.02), "the mean of both, weighted by answers"


def test_only_what_changed_is_written_again() -> None:
    history = History()
    assert history.changed() == []
    for second in range(3):
        history.add(sample(HOUR + second, accepted=1))
    assert [(it.step, it.start) for it in history.changed()] == [
        (1, HOUR),
        (1, HOUR + 1),
        (1, HOUR + 2),
        (60, HOUR),
        (3600, HOUR),
    ]
    assert history.changed() == []
    history.add(sample(HOUR + 2.5, accepted=1))
    history.add(sample(HOUR + 3, accepted=1))
    assert [(it.step, it.start, it.accepted) for it in history.changed()] == [
        (1, HOUR + 2, 2),
        (1, HOUR + 3, 1),
        (60, HOUR, 5),
        (3600, HOUR, 5),
    ]


def test_remembered_points_are_not_written_again() -> None:
    before = History()
    before.add(sample(HOUR, accepted=1))
    after = History(before.changed())
    assert after.changed() == []


def test_a_clock_that_is_set_back_adds_to_the_last_point() -> None:
    history = History()
    history.add(sample(HOUR + 100, accepted=1))
    history.add(sample(HOUR + 5, accepted=1))
    assert [(it.start, it.accepted) for it in history.points(1)] == [(HOUR + 100, 2)]


def test_without_gaps_there_is_a_value_for_every_step() -> None:
    points = [
        Point(step=60, start=HOUR, seconds=30.0, accepted=60, paused=15.0, latency_p50=3.0),
        Point(step=60, start=HOUR + 180, seconds=60.0, accepted=60, backlog=4),
    ]
    begin, values = without_gaps(points)
    assert begin == HOUR
    assert values["accepted"] == [2.0, None, None, 1.0]
    assert values["paused"] == [0.5, None, None, 0.0]
    assert values["backlog"] == [0, None, None, 4]
    assert values["latency_p50"] == [3.0, None, None, None]


def test_points_that_are_years_apart_do_not_make_a_list_of_years() -> None:
    points = [Point(step=1, start=HOUR, seconds=1.0), Point(step=1, start=HOUR + 10**8, seconds=1.0)]
    begin, values = without_gaps(points)
    assert (begin, len(values["accepted"])) == (HOUR + 10**8, 1)
    assert without_gaps([])[1]["accepted"] == []
