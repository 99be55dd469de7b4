"""Jobs in flight are bounded by number and by size."""

import asyncio
from dataclasses import replace

import pytest

from ingestor.model.admission import Admission, AdmissionStatus
from ingestor.model.record import Job
from ingestor.pipeline.in_flight import MAX_BYTES, InFlight, start
from ingestor.policy.plan import create_request
from tests.support.records import job
from tests.support.virtual import run_virtual


def heavy(number: int, size: int) -> Job:
    return replace(job(number), raw=b"x" * size, body=b"{}")


def test_as_many_jobs_fit_as_its_look_ahead() -> None:
    async def check() -> None:
        in_flight = InFlight(3)
        assert in_flight.fitting([job(number) for number in range(5)]) == 3
        in_flight.add(start(Admission(job(1), AdmissionStatus.NEW, True, 0.0)))
        assert in_flight.room == 2

    run_virtual(check())


def test_jobs_that_wait_for_an_answer_leave_room_for_new_ones_up_to_the_most_in_all() -> None:
    async def check() -> None:
        in_flight, waiting = InFlight(3, most=5), 3
        in_flight.unsent = lambda: waiting
        for number in range(3):
            in_flight.add(start(Admission(job(number), AdmissionStatus.NEW, True, 0.0)))
        rooms = [in_flight.room]
        waiting = 1
        rooms.append(in_flight.room)
        in_flight.add(start(Admission(job(4), AdmissionStatus.NEW, True, 0.0)))
        rooms.append(in_flight.room)
        assert rooms == [0, 2, 1]

    run_virtual(check())


def test_large_records_fill_it_sooner() -> None:
    async def check() -> None:
        in_flight = InFlight(100)
        large = [heavy(number, MAX_BYTES // 4) for number in range(1, 20)]
        fitting = in_flight.fitting(large)
        assert 4 <= fitting <= 5
        deliveries = [start(Admission(one, AdmissionStatus.NEW, True, 0.0)) for one in large[:fitting]]
        for delivery in deliveries:
            in_flight.add(delivery)
        assert in_flight.room == 0
        assert in_flight.fitting(large[fitting:]) == 0
        for delivery in deliveries:
            in_flight.remove(delivery)
        assert in_flight.room == 100
        assert in_flight.fitting(large) == fitting

    run_virtual(check())


def test_a_record_larger_than_the_limit_still_goes_through_alone() -> None:
    async def check() -> None:
        assert InFlight(10).fitting([heavy(1, 2 * MAX_BYTES), heavy(2, 1)]) == 1

    run_virtual(check())


def test_it_is_filled_in_portions_and_ends_a_wait_once_a_portion_fits() -> None:
    async def check() -> None:
        in_flight = InFlight(8)
        deliveries = [start(Admission(job(number), AdmissionStatus.NEW, True, 0.0)) for number in range(8)]
        for delivery in deliveries:
            in_flight.add(delivery)
        waiting = asyncio.ensure_future(in_flight.change())
        in_flight.remove(deliveries[0])
        await asyncio.sleep(0)
        assert (in_flight.room, in_flight.is_open, waiting.done()) == (1, False, False)
        in_flight.remove(deliveries[1])
        await waiting
        assert (in_flight.room, in_flight.is_open) == (2, True)

    run_virtual(check())


def test_a_look_ahead_of_one_has_room_for_one() -> None:
    async def check() -> None:
        assert InFlight(1).is_open

    run_virtual(check())


@pytest.mark.parametrize(
    ("status", "may_exist", "run_id", "is_unsent"),
    [
        (AdmissionStatus.NEW, False, None, True),
        (AdmissionStatus.RESEND, False, None, True),
        (AdmissionStatus.RESEND, True, None, False),
        (AdmissionStatus.BEGUN, False, "run-1", False),
    ],
)
def test_only_a_job_that_certainly_has_no_run_is_unsent(
    status: AdmissionStatus, may_exist: bool, run_id: str | None, is_unsent: bool
) -> None:
    delivery = start(Admission(job(1), status, True, 0.0, may_exist=may_exist, run_id=run_id))
    assert delivery.is_unsent is is_unsent
    delivery.history.sending(create_request(delivery.job, stamped=True), 0.0)
    assert not delivery.is_unsent
