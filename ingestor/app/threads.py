"""A coroutine on an event loop of its own, for callers that have none, or whose loop is running."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from ingestor.system.limits import start_thread

T = TypeVar("T")


def run_in_thread(work: Callable[[], Coroutine[Any, Any, T]], stop: Callable[[], None]) -> T:
    """Run a coroutine in a new thread, and return its result or raise its error.

    On KeyboardInterrupt, `stop` is called; when the coroutine has ended, KeyboardInterrupt is raised.
    """
    done = Future[T]()

    def run() -> None:
        try:
            done.set_result(asyncio.run(work()))
        except BaseException as error:  # noqa: BLE001 - it is raised in the calling thread
            done.set_exception(error)

    started = False
    try:
        start_thread(run, "ingestor")
        started = True
        return done.result()
    except KeyboardInterrupt:
        stop()
        if started:
            done.exception()  # waits; a second KeyboardInterrupt ends the waiting
        raise
