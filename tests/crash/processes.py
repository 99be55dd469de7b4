"""Processes that are started to be killed."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Collection
from pathlib import Path

ROOT = Path(__file__).parents[2]
KILLED = -9
TIMEOUT = 300.0
"""Seconds for one process: look-ups that fail again and again back off for minutes."""

_OPTIONS = ("--timeout", "1", "--wait-for-service", "--state", "state", "--progress", "off")
"""A service that shares a busy machine may not answer the first requests in time: it is waited for."""


async def run_program(folder: Path, module: str, *words: str, stdin: int = DEVNULL, may: Collection[int] = ()) -> int:
    """Run a module in `folder`; return how it ended: 0, KILLED, or one of the codes that it `may` end with."""
    return await end(await start(folder, module, *words, stdin=stdin), may)


async def start(folder: Path, module: str, *words: str, stdin: int = DEVNULL) -> Process:
    """Start a module in `folder`, the last of whose words may be a source."""
    command = (sys.executable, "-m", module, *words, *_OPTIONS)
    env = {"PYTHONPATH": str(ROOT), "HOME": str(folder)}
    return await asyncio.create_subprocess_exec(*command, cwd=folder, env=env, stdin=stdin, stdout=DEVNULL, stderr=PIPE)


async def kill_when(process: Process, due: Callable[[], bool]) -> None:
    """Kill a process when it is due, if it still is there."""
    try:
        async with asyncio.timeout(TIMEOUT):
            while not due() and process.returncode is None:  # noqa: ASYNC110 - the service has no event for it
                await asyncio.sleep(0.001)
    finally:
        if process.returncode is None:
            process.kill()


async def end(process: Process, may: Collection[int] = ()) -> int:
    """Return how a process ended, which must be one of 0, KILLED and `may`."""
    try:
        async with asyncio.timeout(TIMEOUT):
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    assert process.returncode in {0, KILLED, *may}, f"exit code {process.returncode}: {errors.decode()}"
    return process.returncode
