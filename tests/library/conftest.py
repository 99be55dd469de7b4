import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import ingestor
from ingestor.testing import PLATFORM_ID, WORKSPACE_KEY, Simulator


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator in a thread of its own: a call that blocks the event loop of a test does not block it."""
    loop, ready, done = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    simulator = Simulator()

    async def serve() -> None:
        async with simulator:
            ready.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert ready.wait(30)
    yield simulator
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


@pytest.fixture
def target(simulator: Simulator) -> ingestor.Target:
    return ingestor.aidp(endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY, auth="none")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"
