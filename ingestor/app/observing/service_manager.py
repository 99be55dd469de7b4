"""What a session reports to systemd: that it is ready, what it does, that it lives, that it stops."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

from ingestor.app.observing.observer import Observer, Watched
from ingestor.model.activity import Phase
from ingestor.model.errors import ExitCode
from ingestor.system.notify import ServiceManager
from ingestor.system.tasks import in_background

INTERVAL = 2.0
"""Seconds between two looks at the session, at most."""

_AT_WORK = frozenset({Phase.RUNNING, Phase.DRAINING})
_PER_WATCHDOG = 3  # messages in the time that the watchdog allows

Sleep = Callable[[float], Awaitable[None]]


def notifying(manager: ServiceManager, sleep: Sleep = asyncio.sleep) -> Observer:
    """Return an observer that sends READY, STATUS, STOPPING and WATCHDOG to the service manager."""

    @asynccontextmanager
    async def notify(watched: Watched) -> AsyncIterator[None]:
        news = _News(watched)
        try:
            async with in_background(_send_regularly(manager, news, sleep)):
                yield
        finally:
            manager.send(*news.since_last())

    return notify


async def _send_regularly(manager: ServiceManager, news: "_News", sleep: Sleep) -> None:
    interval = INTERVAL if manager.watchdog is None else min(INTERVAL, manager.watchdog / _PER_WATCHDOG)
    alive = [] if manager.watchdog is None else ["WATCHDOG=1"]  # the loop of the batch runs
    while True:
        if messages := [*news.since_last(), *alive]:
            manager.send(*messages)
        await sleep(interval)


class _News:
    """What has changed since the last message."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._sentence = ""
        self._is_ready = self._is_stopping = False

    def since_last(self) -> Iterator[str]:
        phase, sentence = self._watched.phase, self._watched.sentence()
        if not self._is_ready and (phase in _AT_WORK or self._watched.exit_code == ExitCode.OK):
            self._is_ready = True
            yield "READY=1"
        if not self._is_stopping and phase in (Phase.DRAINING, Phase.FINISHED):
            self._is_stopping = True
            yield "STOPPING=1"
        if sentence != self._sentence:
            self._sentence = sentence
            yield f"STATUS={sentence}"
