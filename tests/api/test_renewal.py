import asyncio
import threading

import pytest

from ingestor.api.renewal import PAUSE, Lease, Renewing
from ingestor.model.errors import CredentialsError
from tests.api.conftest import Clock


class Source:
    """Hands out leases of `life` seconds, numbered; can be told to fail, and to wait at a gate."""

    def __init__(self, clock: Clock, life: float = 3600.0) -> None:
        self.clock = clock
        self.life = life
        self.loads = 0
        self.value: int | None = None
        self.failure: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Semaphore(0)

    def __call__(self) -> Lease[int]:
        self.entered.release()
        self.gate.wait(10)
        self.loads += 1
        if self.failure is not None:
            raise self.failure
        now = self.clock()
        value = self.loads if self.value is None else self.value
        return Lease(value, renew_at=now + self.life / 2, expires_at=now + self.life)

    async def wait_for_a_load(self) -> None:
        await asyncio.to_thread(self.entered.acquire)


@pytest.fixture
def source(clock: Clock) -> Source:
    return Source(clock)


async def test_a_credential_is_loaded_once_and_used_while_it_is_young(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    await held.open()
    clock.time += 1799
    assert [await held.current() for _ in range(3)] == [1, 1, 1]
    assert source.loads == 1
    await held.aclose()


async def test_past_half_its_life_it_is_used_while_a_newer_one_is_fetched(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    await held.open()
    source.gate.clear()
    clock.time += 1801
    assert await held.current() == 1
    assert await held.current() == 1
    source.gate.set()
    assert held._renewal is not None
    await held._renewal
    assert await held.current() == 2
    assert source.loads == 2
    await held.aclose()


async def test_past_its_life_everyone_waits_for_one_renewal(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    await held.open()
    clock.time += 3601
    assert await asyncio.gather(*(held.current() for _ in range(50))) == [2] * 50
    assert source.loads == 2
    await held.aclose()


async def test_fifty_401s_bring_about_one_renewal(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    await held.open()
    clock.time += 60
    assert await asyncio.gather(*(held.renew() for _ in range(50))) == [True] * 50
    assert source.loads == 2
    assert await held.current() == 2
    await held.aclose()


async def test_a_renewal_of_a_moment_ago_counts_as_done(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    await held.open()
    clock.time += 60
    assert await held.renew()
    clock.time += 4
    assert await held.renew()
    assert source.loads == 2
    clock.time += 2
    assert await held.renew()
    assert source.loads == 3
    await held.aclose()


async def test_finding_the_same_credential_again_is_no_renewal(clock: Clock, source: Source) -> None:
    source.value = 7
    held = Renewing(source, clock)
    await held.open()
    clock.time += 60
    assert await held.renew() is False
    await held.aclose()


async def test_an_attempt_older_than_the_last_change_may_be_repeated(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    await held.open()
    clock.time += 60
    await held.renew()
    source.value = 2
    clock.time += 30
    assert await held.renew() is True
    clock.time += 31
    assert await held.renew() is False
    await held.aclose()


async def test_a_renewal_that_fails_leaves_a_credential_that_is_still_good(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    await held.open()
    source.failure = CredentialsError("metadata service is away")
    clock.time += 2000
    assert await held.renew() is False
    assert await held.current() == 1
    await held.aclose()


async def test_a_renewal_that_fails_is_not_tried_again_at_once(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    await held.open()
    source.failure = CredentialsError("metadata service is away")
    clock.time += 3601
    for _ in range(5):
        with pytest.raises(CredentialsError, match="metadata service is away"):
            await held.current()
    assert source.loads == 2
    source.failure = None
    clock.time += PAUSE
    assert await held.current() == 3
    await held.aclose()


async def test_without_any_credential_opening_fails_with_the_reason(clock: Clock, source: Source) -> None:
    source.failure = CredentialsError("no such profile")
    held = Renewing(source, clock)
    with pytest.raises(CredentialsError, match="no such profile"):
        await held.open()
    await held.aclose()


async def test_a_bug_in_a_source_is_not_hidden(clock: Clock, source: Source) -> None:
    source.failure = ZeroDivisionError()
    held = Renewing(source, clock)
    with pytest.raises(ZeroDivisionError):
        await held.open()
    await held.aclose()


async def test_one_who_stops_waiting_does_not_stop_the_renewal_for_others(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    source.gate.clear()
    impatient = asyncio.create_task(held.current())
    patient = asyncio.create_task(held.current())
    await source.wait_for_a_load()
    impatient.cancel()
    await asyncio.wait([impatient])
    source.gate.set()
    assert await patient == 1
    assert source.loads == 1
    await held.aclose()


async def test_the_event_loop_runs_on_while_a_load_blocks(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    source.gate.clear()
    waiting = asyncio.create_task(held.current())
    await source.wait_for_a_load()
    assert not waiting.done()
    source.gate.set()
    assert await waiting == 1
    await held.aclose()


async def test_closing_does_not_wait_for_a_load_that_hangs(clock: Clock, source: Source) -> None:
    held = Renewing(source, clock)
    source.gate.clear()
    waiting = asyncio.create_task(held.current())
    await source.wait_for_a_load()
    await held.aclose()
    assert source.loads == 0
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    source.gate.set()
