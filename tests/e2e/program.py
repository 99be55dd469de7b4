"""The command as its users have it: a process of its own, in a folder of its own, with a clean environment."""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ingestor.journal import reader
from ingestor.journal.schema import State
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from ingestor.simulator.server import Simulator

COMMAND = (sys.executable, "-m", "ingestor")

PATIENCE = 90.0
"""Seconds after which waiting is given up: far more than anything here takes."""

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended, and all that it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> Document:
        """The summary of `run --output json`, which is the last line of standard output."""
        document: Document = json.loads(self.stdout.splitlines()[-1])
        return document

    @property
    def lines(self) -> list[Document]:
        """Standard output, each line of it a JSON object."""
        return parse_lines(self.stdout)


class Running:
    """A process on its way."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the process is about to bring about."""
        async with asyncio.timeout(PATIENCE):
            while not condition():
                assert self._process.returncode is None, await self.end()
                await asyncio.sleep(0.002)

    async def until_it_says(self, words: str) -> None:
        """Wait for a line of standard error that holds `words`; the lines up to it are gone then."""
        assert self._process.stderr is not None
        async with asyncio.timeout(PATIENCE):
            while words not in (line := (await self._process.stderr.readline()).decode()):
                assert line, f"ended without saying {words!r}"

    async def next_line(self) -> str:
        """Return the next line of standard output."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self._process.stdout.readline()).decode()

    async def write(self, data: bytes) -> None:
        """Write to standard input, and leave it open."""
        assert self._process.stdin is not None
        self._process.stdin.write(data)
        await self._process.stdin.drain()

    def send(self, number: int) -> None:
        """Send a signal, if there still is a process."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self, stdin: bytes | None = None) -> Ended:
        """Give it the rest of its standard input and wait for its end. It must never show a traceback."""
        async with asyncio.timeout(PATIENCE):
            stdout, stderr = await self._process.communicate(stdin)
        assert self._process.returncode is not None
        ended = Ended(self._process.returncode, stdout.decode(), stderr.decode())
        assert "Traceback" not in ended.stderr, ended.stderr
        return ended

    async def leave_input_open_and_end(self) -> Ended:
        """Wait for its end without ending its standard input."""
        async with asyncio.timeout(PATIENCE):
            await self._process.wait()
        return await self.end()

    async def die(self) -> None:
        """Kill it (SIGKILL) and see it gone."""
        self.send(9)
        await self._process.communicate()


class Program:
    """Starts the command in `folder`; none of this machine's settings reach it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Running] = []

    async def start(
        self,
        *words: str,
        stdin: int = PIPE,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> Running:
        """Start `ingestor WORDS`."""
        (self.folder / "home").mkdir(exist_ok=True)
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder / "home"), "LANG": "C.UTF-8"}
        process = await asyncio.create_subprocess_exec(
            *command, *words, cwd=self.folder, env={**environment, **(env or {})}, stdin=stdin, stdout=PIPE, stderr=PIPE
        )
        running = Running(process)
        self._started.append(running)
        return running

    async def run(
        self,
        *words: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> Ended:
        """Run `ingestor WORDS` to its end."""
        running = await self.start(*words, stdin=PIPE if stdin else DEVNULL, env=env, command=command)
        return await running.end(stdin or None)

    async def ingest(self, *words: str, stdin: bytes = b"") -> Ended:
        """Run `ingestor run` with a summary that can be read by `Ended.summary`."""
        return await self.run("run", "--output", "json", *words, stdin=stdin)

    def rows(self, outcome: str | None = None) -> list[Document]:
        """Return what `ingestor results` would print: the command itself is held to it in test_run."""
        found = reader.results(self.folder / ".ingestor", outcome=None if outcome is None else State(outcome))
        return [asdict(row) for row in found]

    def counts(self) -> dict[str, int]:
        """Return jobs per outcome as `ingestor status` would, of the batches together."""
        report = reader.status(self.folder / ".ingestor", now=time.time())
        return {str(state): sum(batch.counts[state] for batch in report.batches) for state in State}

    def events(self) -> list[Document]:
        """Return the structured log."""
        return parse_lines((self.folder / ".ingestor" / "log.jsonl").read_text())

    def rejects(self) -> list[Document]:
        """Return `rejects.jsonl`."""
        return parse_lines((self.folder / ".ingestor" / "rejects.jsonl").read_text())

    def write(self, name: str, data: bytes | Iterable[Document]) -> str:
        """Write a file of the folder, and return its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else to_lines(data))
        return name

    async def close(self) -> None:
        """Leave no process behind."""
        for running in self._started:
            await running.die()


def parse_lines(text: str) -> list[Document]:
    """Read JSON Lines."""
    return [json.loads(line) for line in text.splitlines()]


def to_lines(records: Iterable[Document]) -> bytes:
    """Write JSON Lines."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def at(simulator: Simulator, *, platform: str = PLATFORM_ID, workspace: str = WORKSPACE_KEY) -> tuple[str, ...]:
    """Return the flags that aim at a simulator, without who calls."""
    return ("--endpoint", simulator.url, "--platform-id", platform, "--workspace", workspace)


def aim(simulator: Simulator, *, workspace: str = WORKSPACE_KEY) -> tuple[str, ...]:
    """Return the flags that aim at a simulator that lets anyone in."""
    return (*at(simulator, workspace=workspace), "--auth", "none")
