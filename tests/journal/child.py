"""Processes that tests start and kill. Each line on stdout is something that the journal reported as durable."""

import asyncio
import resource
import sys
from itertools import count
from pathlib import Path

from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import JournalError
from ingestor.model.ports import Changes
from tests.journal.support import created, opened
from tests.support.records import job, jobs


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def hold(path: Path) -> None:
    """Own the directory until standard input ends."""
    with StateDirectory.open(path):
        say("held")
        sys.stdin.read()


async def write(path: Path, start: int) -> None:
    """Admit jobs past number `start` and end them, without end, several callers at once."""
    async with opened(path) as journal:
        numbers = count(start + 1)

        async def deliver() -> None:
            for number in numbers:
                mine = job(number)
                (admission,) = await journal.admit([mine], stamped=True)
                say(f"{admission.status} {mine.key}")
                if number % 7:
                    await journal.commit(Changes([created(mine)]))
                    say(f"created {mine.key}")

        await asyncio.gather(*(deliver() for _ in range(8)))


async def fill(path: Path, _: int) -> None:
    """Write until the files may not grow any more, then try again."""
    async with opened(path) as journal:
        for batch in count():
            mine = jobs(1000)[batch * 10 : batch * 10 + 10]
            if batch == 3:
                size = (path / "journal.db-wal").stat().st_size
                resource.setrlimit(resource.RLIMIT_FSIZE, (size + 30_000, resource.RLIM_INFINITY))
            try:
                await journal.admit(mine, stamped=True)
            except JournalError as error:
                say(f"error {error}")
                break
            say(" ".join(job.key for job in mine))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        try:
            await journal.commit(Changes([created(job(1))]))
        except JournalError as error:
            say(f"error {error}")


if __name__ == "__main__":
    what, path, start = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if what == "hold":
        hold(path)
    else:
        asyncio.run({"write": write, "fill": fill}[what](path, start))
