"""The command as its users have it: in a folder of its own, with a clean environment.

`Program.run` and `Program.ingest` call it in this process, which saves the start of a process. `Program.start` and
`Program.spawn` start a process, for what is killed, signalled, or given a real pipe.
"""

import asyncio
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from ingestor.cli.main import main
from ingestor.journal import reader
from ingestor.model.record import State
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from ingestor.simulator.server import Simulator

COMMAND = (sys.executable, "-m", "ingestor")

TIMEOUT = 90.0
"""Seconds after which a test stops waiting: far more than anything here takes."""

ALONE = ("--senders", "0")
"""Without sender processes, which are the subject of few tests."""
_SENDING = frozenset({"run", "resume"})

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and all that it printed."""

    code: int
    stdout: str
    stderr: str

    @property
    def summary(self) -> Document:
        """The summary of `--output json`, which is the last line of standard output."""
        document: Document = json.loads(self.stdout.splitlines()[-1])
        return document

    @property
    def lines(self) -> list[Document]:
        """Standard output, each line of it a JSON object."""
        return parse_lines(self.stdout)


class Running:
    """A process that was started."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the process is about to do."""
        async with asyncio.timeout(TIMEOUT):
            while not condition():
                assert self._process.returncode is None, await self.end()
                await asyncio.sleep(0.002)

    async def until_it_prints(self, words: str) -> str:
        """Wait for a line of standard error that holds `words`, and return it; the lines up to it are gone then."""
        assert self._process.stderr is not None
        async with asyncio.timeout(TIMEOUT):
            while words not in (line := (await self._process.stderr.readline()).decode()):
                assert line, f"ended without printing {words!r}"
        return line

    async def next_line(self) -> str:
        """Return the next line of standard output."""
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT):
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
        async with asyncio.timeout(TIMEOUT):
            stdout, stderr = await self._process.communicate(stdin)
        assert self._process.returncode is not None
        return _ended(self._process.returncode, stdout or b"", stderr or b"")

    async def is_over(self, seconds: float) -> bool:
        """Wait for its end for a short time, and return whether it has ended."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), seconds)
        return self._process.returncode is not None

    async def leave_input_open_and_end(self) -> Ended:
        """Wait for its end without ending its standard input."""
        async with asyncio.timeout(TIMEOUT):
            await self._process.wait()
        return await self.end()

    async def die(self) -> None:
        """Kill it (SIGKILL) and wait until it is gone."""
        self.send(9)
        await self._process.communicate()


class Program:
    """Runs the command in `folder`; no setting of this machine reaches it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Running] = []

    async def start(
        self,
        *words: str,
        stdin: int = PIPE,
        stdout: int = PIPE,
        stderr: int = PIPE,
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> Running:
        """Start a process: `ingestor WORDS`, without senders unless the words name them."""
        environment = self._environment(env)
        words = _alone(words)
        process = await asyncio.create_subprocess_exec(
            *command, *words, cwd=self.folder, env=environment, stdin=stdin, stdout=stdout, stderr=stderr
        )
        running = Running(process)
        self._started.append(running)
        return running

    async def spawn(
        self,
        *words: str,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        command: Sequence[str] = COMMAND,
    ) -> Ended:
        """Run a process to its end: `ingestor WORDS`."""
        running = await self.start(*words, stdin=PIPE if stdin else DEVNULL, env=env, command=command)
        return await running.end(stdin or None)

    async def run(self, *words: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> Ended:
        """Run `ingestor WORDS` to its end, in a thread of this process."""
        with _as_in_a_process(self.folder, self._environment(env), stdin) as (stdout, stderr):
            async with asyncio.timeout(TIMEOUT):
                code = await asyncio.to_thread(main, _alone(words))
            sys.stdout.flush()
            sys.stderr.flush()
            stdout.seek(0)
            stderr.seek(0)
            return _ended(code, stdout.read(), stderr.read())

    async def ingest(self, *words: str, stdin: bytes = b"") -> Ended:
        """Run `ingestor run` with a summary that can be read by `Ended.summary`."""
        return await self.run("run", "--output", "json", *words, stdin=stdin)

    def rows(self, outcome: str | None = None) -> list[Document]:
        """Return what `ingestor results` would print; test_run compares the command itself with this."""
        found = reader.results(self.folder / ".ingestor", outcome=None if outcome is None else State(outcome))
        return [asdict(row) for row in found]

    def counts(self) -> dict[str, int]:
        """Return jobs per state as `ingestor status` would, of all batches together."""
        report = reader.status(self.folder / ".ingestor", now=time.time())
        return {str(state): sum(batch.counts[state] for batch in report.batches) for state in State}

    def events(self, name: str | None = None) -> list[Document]:
        """Return the structured log, or its events of one name."""
        events = parse_lines((self.folder / ".ingestor" / "log.jsonl").read_text())
        return [event for event in events if name in (None, event["event"])]

    def rejects(self) -> list[Document]:
        """Return `rejects.jsonl`."""
        return parse_lines((self.folder / ".ingestor" / "rejects.jsonl").read_text())

    def spooled(self) -> int:
        """Return how many bytes of standard input are kept."""
        return sum(file.stat().st_size for file in (self.folder / ".ingestor").rglob("stdin-*"))

    def write(self, name: str, data: bytes | Iterable[Document]) -> str:
        """Write a file of the folder, and return its name."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else to_lines(data))
        return name

    async def close(self) -> None:
        """Leave no process running."""
        for running in self._started:
            await running.die()

    def _environment(self, more: Mapping[str, str] | None) -> dict[str, str]:
        (self.folder / "home").mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder / "home"),
            "LANG": "C.UTF-8",
            **(more or {}),
        }


def parse_lines(text: str) -> list[Document]:
    """Read JSON Lines."""
    return [json.loads(line) for line in text.splitlines()]


def to_lines(records: Iterable[Document]) -> bytes:
    """Write JSON Lines."""
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def at(simulator: Simulator, *, platform: str = PLATFORM_ID, workspace: str = WORKSPACE_KEY) -> tuple[str, ...]:
    """Return the flags of a simulator's address, without credentials."""
    return ("--endpoint", simulator.url, "--platform-id", platform, "--workspace", workspace)


def aim(simulator: Simulator, *, workspace: str = WORKSPACE_KEY) -> tuple[str, ...]:
    """Return the flags of a simulator that checks no signatures."""
    return (*at(simulator, workspace=workspace), "--auth", "none")


def _alone(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words of a command, which makes no sender process unless they say so."""
    if words[0] not in _SENDING or "--senders" in words:
        return tuple(words)
    return (words[0], *ALONE, *words[1:])


def _ended(code: int, stdout: bytes, stderr: bytes) -> Ended:
    ended = Ended(code, stdout.decode(), stderr.decode())
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


@contextmanager
def _as_in_a_process(folder: Path, environment: Mapping[str, str], stdin: bytes) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Give this process folder, environment and standard streams of another, and yield where its output goes."""
    before, here, streams = dict(os.environ), Path.cwd(), (sys.stdin, sys.stdout, sys.stderr)
    kept = [os.dup(number) for number in range(3)]
    with TemporaryFile() as given, TemporaryFile() as stdout, TemporaryFile() as stderr:
        given.write(stdin)
        given.flush()
        given.seek(0)
        for number, file in enumerate((given, stdout, stderr)):
            os.dup2(file.fileno(), number)
        sys.stdin, sys.stdout, sys.stderr = (_text(number) for number in range(3))
        os.environ.clear()
        os.environ.update(environment)
        os.chdir(folder)
        try:
            yield stdout, stderr
        finally:
            os.chdir(here)
            os.environ.clear()
            os.environ.update(before)
            for stream in (sys.stdin, sys.stdout, sys.stderr):
                stream.close()
            sys.stdin, sys.stdout, sys.stderr = streams
            for number, copy in enumerate(kept):
                os.dup2(copy, number)
                os.close(copy)


def _text(number: int) -> TextIOWrapper:
    """Open a standard stream as Python does at its start, without owning its descriptor."""
    return open(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False)
