"""Work that runs while other work runs: tasks of a block, and blocking work in a thread."""

import asyncio
import concurrent.futures
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from ingestor.system.limits import start_thread

T = TypeVar("T")


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, object]) -> AsyncIterator[None]:
    """Run a coroutine while the block runs. At its end the coroutine is cancelled, and has ended."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def in_thread(work: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Run blocking work in a daemon thread of its own: what hangs must not delay the end of the process.

    Raises LimitError.
    """
    result: concurrent.futures.Future[T] = concurrent.futures.Future()
    result.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result.set_result(work())
        except BaseException as error:  # noqa: BLE001 -- the caller must get every error
            result.set_exception(error)

    start_thread(run, name)
    return asyncio.wrap_future(result)
