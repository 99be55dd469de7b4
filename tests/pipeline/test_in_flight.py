"""What is in hand is bounded by number and by size."""

import asyncio
from dataclasses import replace

from ingestor.model.ports import Admission, AdmissionStatus
from ingestor.model.record import Job
from ingestor.pipeline.delivery import start
from ingestor.pipeline.in_flight import MOST_BYTES, InFlight
from tests.support.records import job
from tests.support.virtual import run_virtual


def heavy(number: int, size: int) -> Job:
    return replace(job(number), raw=b"x" * size, body=b"{}")


def test_it_takes_as_many_as_it_holds() -> None:
    async def check() -> None:
        hand = InFlight(3)
        assert hand.fitting([job(number) for number in range(5)]) == 3
        hand.add(start(Admission(job(1), AdmissionStatus.NEW, True, 0.0)))
        assert hand.room == 2

    run_virtual(check())


def test_records_that_are_large_fill_it_sooner() -> None:
    async def check() -> None:
        hand = InFlight(100)
        large = [heavy(number, MOST_BYTES // 4) for number in range(1, 20)]
        taken = hand.fitting(large)
        assert 4 <= taken <= 5
        deliveries = [start(Admission(one, AdmissionStatus.NEW, True, 0.0)) for one in large[:taken]]
        for delivery in deliveries:
            hand.add(delivery)
        assert hand.room == 0
        assert hand.fitting(large[taken:]) == 0
        for delivery in deliveries:
            hand.remove(delivery)
        assert hand.room == 100
        assert hand.fitting(large) == taken

    run_virtual(check())


def test_one_that_is_too_large_for_any_hand_still_goes_through_alone() -> None:
    async def check() -> None:
        assert InFlight(10).fitting([heavy(1, 2 * MOST_BYTES), heavy(2, 1)]) == 1

    run_virtual(check())


def test_it_is_filled_in_portions_and_wakes_who_waits_when_there_is_room_for_one() -> None:
    async def check() -> None:
        hand = InFlight(8)
        deliveries = [start(Admission(job(number), AdmissionStatus.NEW, True, 0.0)) for number in range(8)]
        for delivery in deliveries:
            hand.add(delivery)
        waiting = asyncio.ensure_future(hand.change())
        hand.remove(deliveries[0])
        await asyncio.sleep(0)
        assert (hand.room, hand.is_open, waiting.done()) == (1, False, False)
        hand.remove(deliveries[1])
        await waiting
        assert (hand.room, hand.is_open) == (2, True)

    run_virtual(check())


def test_a_hand_of_one_has_room_for_one() -> None:
    async def check() -> None:
        assert InFlight(1).is_open

    run_virtual(check())
