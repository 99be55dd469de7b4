"""Credentials that age: held ready, renewed aside and ahead of time, by one renewal at a time."""

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ingestor.model.errors import CredentialsError

PAUSE = 10.0
"""Seconds from one renewal to the next that age or a watched file brings about."""

_JUST_NOW = 5.0
_RECENT = 60.0
_PATIENCE = 60.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Lease(Generic[T]):
    """A credential and its time, in seconds since the epoch: when to look for a newer one, and when it is worthless."""

    value: T
    renew_at: float = float("inf")
    expires_at: float = float("inf")


class Renewing(Generic[T]):
    """Holds a credential that `load` brings.

    `load` may block (it runs in a thread of its own) and raises CredentialsError. A credential past its `renew_at` is
    renewed in the background while it is still used; only past its `expires_at` does anyone wait. However many ask,
    one renewal runs, and a new credential takes the old one's place whole.
    """

    def __init__(self, load: Callable[[], Lease[T]], now: Callable[[], float] = time.time) -> None:
        self._load = load
        self._now = now
        self._lease: Lease[T] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._failure = ""
        self._ended_at = float("-inf")
        self._changed_at = float("-inf")

    async def open(self) -> None:
        """Load the credential. Raises CredentialsError."""
        await self.current()

    async def current(self) -> T:
        """Return a credential to use now. Raises CredentialsError where there is none that is still good."""
        lease = self._lease
        if lease is not None and self._now() < lease.renew_at:
            return lease.value
        self._begin(PAUSE)
        if lease is None or self._now() >= lease.expires_at:
            await self._end()
            lease = self._lease
        if lease is None or (self._failure and self._now() >= lease.expires_at):
            raise CredentialsError(self._failure)
        return lease.value

    async def renew(self) -> bool:
        """Look for a newer credential, after a 401. Never raises.

        Returns whether the one held now is newer than what an attempt of the last minute may have used. A renewal of
        the last few seconds counts as done.
        """
        self._begin(_JUST_NOW)
        with contextlib.suppress(CredentialsError):
            await self._end()
        return not self._failure and self._now() - self._changed_at < _RECENT

    async def aclose(self) -> None:
        """Stop caring about a renewal under way. Its thread is left to end by itself and holds nobody up."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    def _begin(self, pause: float) -> None:
        running = self._renewal is not None and not self._renewal.done()
        if not running and self._now() - self._ended_at >= pause:
            self._renewal = asyncio.create_task(self._run())

    async def _end(self) -> None:
        if self._renewal is None:
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.shield(self._renewal)
        except TimeoutError:
            raise CredentialsError(f"No credentials came within {_PATIENCE:.0f} seconds.") from None

    async def _run(self) -> None:
        try:
            lease = await _in_a_thread(self._load)
        except CredentialsError as error:
            self._failure = str(error)
        else:
            if self._lease is not None and self._lease.value != lease.value:
                self._changed_at = self._now()
            self._lease = lease
            self._failure = ""
        finally:
            self._ended_at = self._now()


def _in_a_thread(work: Callable[[], T]) -> asyncio.Future[T]:
    """Run blocking work aside. The thread is a daemon: a metadata service that hangs must not hold up the exit."""
    promise: concurrent.futures.Future[T] = concurrent.futures.Future()
    promise.set_running_or_notify_cancel()

    def run() -> None:
        try:
            promise.set_result(work())
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the one who waits must see it
            promise.set_exception(error)

    threading.Thread(target=run, name="credentials", daemon=True).start()
    return asyncio.wrap_future(promise)
