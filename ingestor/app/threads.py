"""A coroutine on an event loop of its own, for callers that have none, or whose loop is running."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

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

    thread = threading.Thread(target=run, name="ingestor", daemon=True)
    try:
        thread.start()
        return done.result()
    except KeyboardInterrupt:
        stop()
        if thread.ident is not None:
            done.exception()  # waits; a second KeyboardInterrupt ends the waiting
        raise
