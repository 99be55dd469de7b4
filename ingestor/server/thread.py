"""A server in a thread with an event loop of its own: it answers while the loop of the batch is stuck."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from types import TracebackType
from typing import Self

from ingestor.server.http import HttpServer
from ingestor.server.loop_watch import LoopWatch
from ingestor.server.monitor import Monitor, Monitored
from ingestor.system.limits import start_thread
from ingestor.system.tasks import in_background

_GRACE = 0.3  # seconds for a page that asked recently to ask once more
_LONGEST_END = 2.0  # seconds

MakeServer = Callable[[Monitor], HttpServer]


class ServerThread:
    """Serves while the `async with` block runs. The batch ends when the block is left, which takes 2 s at most.

    Entering raises UsageError if the address can't be used, and LimitError if no thread can be started.

    Attributes:
        url: the address for a browser.
    """

    def __init__(self, batch: Monitored, watch: LoopWatch, make: MakeServer) -> None:
        self._batch = batch
        self._watch = watch
        self._make = make
        self._opened = Future[str]()
        self._ended = Future[None]()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        start_thread(self._run, "listen")
        self.url = await asyncio.wrap_future(self._opened)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._loop is not None and self._stop is not None:
            with suppress(RuntimeError):  # its loop is closed
                self._loop.call_soon_threadsafe(self._stop.set)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(self._ended)), _LONGEST_END)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - it is raised by the one who waits
            if not self._opened.done():
                self._opened.set_exception(error)
        finally:
            self._ended.set_result(None)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        monitor = Monitor(self._batch, self._watch)
        async with in_background(self._watch.look()), self._make(monitor) as server:
            self._opened.set_result(server.url)
            await self._stop.wait()
            await monitor.end(_GRACE)
