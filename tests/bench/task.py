"""What a client that is compared is told to do, and what it tells of it: JSON in its argument, JSON on its output."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from tests.bench.process import run

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Task:
    """Send the first `count` records of a file.

    Attributes:
        url: the root of the service.
        records: the path of the file.
        count: how many of its records.
        workers: how many requests may be on their way at once: coroutines or threads.
        oci_config: the path of the OCI configuration to sign with; None sends unsigned.
    """

    url: str
    records: str
    count: int
    workers: int
    oci_config: str | None = None


@dataclass(frozen=True, slots=True)
class Took:
    """What a task took, from its first request to its last answer, preparations left out.

    Attributes:
        seconds: by the clock on the wall.
        cpu: seconds of processor time, user and system, of all threads.
    """

    seconds: float
    cpu: float


def given() -> Task:
    """Return the task of this process."""
    return Task(**json.loads(sys.argv[1]))


def timed(work: Callable[[], None]) -> None:
    """Do the work, and print what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    took = Took(time.perf_counter() - wall, time.process_time() - cpu)
    sys.stdout.write(f"{json.dumps(asdict(took))}\n")


def timed_in_threads(work: Callable[[T], None], each: Sequence[T]) -> None:
    """Do the work for each of several things, each in a thread of its own, and print what it took."""

    def together() -> None:
        with ThreadPoolExecutor(len(each)) as threads:
            for ended in [threads.submit(work, one) for one in each]:
                ended.result()

    timed(together)


def carry_out(module: str, task: Task, folder: Path) -> Took:
    """Have a module of this package carry out a task, in a process of its own."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    command = (sys.executable, "-m", f"tests.bench.{module}", json.dumps(asdict(task)))
    ended = run(command, folder, longest=60 + task.count / 20, environment=quiet)
    return Took(**json.loads(ended.output.splitlines()[-1]))
