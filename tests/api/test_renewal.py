import asyncio
import threading

import pytest

from ingestor.api.signing import RENEWAL_INTERVAL, CredentialCache, Lease
from ingestor.model.errors import CredentialsError
from tests.api.conftest import Clock


class Source:
    """Returns numbered leases of `life` seconds. A test can make it fail, and make it wait at a gate."""

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


async def test_a_credential_is_loaded_once_and_used_until_it_is_due_for_renewal(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    clock.time += 1799
    assert [await cache.current() for _ in range(3)] == [1, 1, 1]
    assert source.loads == 1
    await cache.aclose()


async def test_a_credential_due_for_renewal_is_used_while_a_newer_one_is_loaded(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    source.gate.clear()
    clock.time += 1801
    assert await cache.current() == 1
    assert await cache.current() == 1
    source.gate.set()
    assert cache._renewal is not None
    await cache._renewal
    assert await cache.current() == 2
    assert source.loads == 2
    await cache.aclose()


async def test_all_callers_wait_for_one_renewal_of_an_expired_credential(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    clock.time += 3601
    assert await asyncio.gather(*(cache.current() for _ in range(50))) == [2] * 50
    assert source.loads == 2
    await cache.aclose()


async def test_fifty_401s_cause_one_renewal(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    clock.time += 60
    assert await asyncio.gather(*(cache.renew() for _ in range(50))) == [True] * 50
    assert source.loads == 2
    assert await cache.current() == 2
    await cache.aclose()


async def test_a_renewal_of_a_few_seconds_ago_is_not_repeated(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    clock.time += 60
    assert await cache.renew()
    clock.time += 4
    assert await cache.renew()
    assert source.loads == 2
    clock.time += 2
    assert await cache.renew()
    assert source.loads == 3
    await cache.aclose()


async def test_loading_the_same_credential_again_is_no_renewal(clock: Clock, source: Source) -> None:
    source.value = 7
    cache = CredentialCache(source, clock)
    await cache.open()
    clock.time += 60
    assert await cache.renew() is False
    await cache.aclose()


async def test_an_attempt_from_before_the_last_change_may_be_repeated(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    clock.time += 60
    await cache.renew()
    source.value = 2
    clock.time += 30
    assert await cache.renew() is True
    clock.time += 31
    assert await cache.renew() is False
    await cache.aclose()


async def test_a_renewal_that_fails_keeps_a_credential_that_is_still_valid(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    source.failure = CredentialsError("metadata service is away")
    clock.time += 2000
    assert await cache.renew() is False
    assert await cache.current() == 1
    await cache.aclose()


async def test_a_renewal_that_fails_is_not_tried_again_at_once(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    source.failure = CredentialsError("metadata service is away")
    clock.time += 3601
    for _ in range(5):
        with pytest.raises(CredentialsError, match="metadata service is away"):
            await cache.current()
    assert source.loads == 2
    source.failure = None
    clock.time += RENEWAL_INTERVAL
    assert await cache.current() == 3
    await cache.aclose()


async def test_opening_without_any_credential_fails_with_the_reason(clock: Clock, source: Source) -> None:
    source.failure = CredentialsError("no such profile")
    cache = CredentialCache(source, clock)
    with pytest.raises(CredentialsError, match="no such profile"):
        await cache.open()
    await cache.aclose()


async def test_an_unexpected_error_in_the_loading_ends_in_a_sentence_that_names_it(
    clock: Clock, source: Source
) -> None:
    source.failure = ZeroDivisionError("s3cret")
    cache = CredentialCache(source, clock)
    with pytest.raises(CredentialsError, match=r"^The credentials can't be loaded: ZeroDivisionError\.$"):
        await cache.open()
    clock.time += 60
    assert await cache.renew() is False
    await cache.aclose()


async def test_a_thread_that_can_not_be_started_is_named_as_a_limit(
    clock: Clock, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    cache = CredentialCache(source, clock)
    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(CredentialsError, match=r"^No further thread or process can be started: .*ulimit -u"):
        await cache.open()
    monkeypatch.undo()
    await cache.aclose()


async def test_the_secrets_of_every_credential_so_far_are_known(clock: Clock) -> None:
    tokens = iter(["first-s3cret-token", "second-s3cret-token"])

    def load() -> Lease[str]:
        token = next(tokens)
        return Lease(token, secrets=(token,))

    cache = CredentialCache(load, clock)
    await cache.open()
    clock.time += 60
    assert await cache.renew()
    assert "s3cret" not in cache.redactor.text("first-s3cret-token, second-s3cret-token")
    await cache.aclose()


async def test_a_refusal_is_explained_by_a_renewal_that_failed(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    await cache.open()
    assert cache.explanation == ""
    source.failure = CredentialsError("the file is gone")
    clock.time += 60
    assert not await cache.renew()
    assert cache.explanation == "newer credentials can't be loaded: the file is gone"
    source.failure = None
    clock.time += 60
    assert await cache.renew()
    assert cache.explanation == ""
    await cache.aclose()


async def test_a_caller_that_is_cancelled_does_not_stop_the_renewal_for_others(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    source.gate.clear()
    cancelled = asyncio.create_task(cache.current())
    waiting = asyncio.create_task(cache.current())
    await source.wait_for_a_load()
    cancelled.cancel()
    await asyncio.wait([cancelled])
    source.gate.set()
    assert await waiting == 1
    assert source.loads == 1
    await cache.aclose()


async def test_the_event_loop_is_not_blocked_while_a_load_blocks(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    source.gate.clear()
    waiting = asyncio.create_task(cache.current())
    await source.wait_for_a_load()
    assert not waiting.done()
    source.gate.set()
    assert await waiting == 1
    await cache.aclose()


async def test_closing_does_not_wait_for_a_load_that_hangs(clock: Clock, source: Source) -> None:
    cache = CredentialCache(source, clock)
    source.gate.clear()
    waiting = asyncio.create_task(cache.current())
    await source.wait_for_a_load()
    await cache.aclose()
    assert source.loads == 0
    await asyncio.wait([waiting])
    assert waiting.cancelled()
    source.gate.set()
