"""Programs that are run to their end and measured: any command, and the clients that are compared."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
"""The project's folder: the working directory of every process."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that ended.

    Attributes:
        began: when it was started, in seconds since the epoch.
        seconds: from its start to its end.
        cpu: seconds of processor time, user and system, of it and of all processes that it started and waited for.
        peak: the most memory (resident set, in bytes) of it or of one process that it waited for.
        output: its standard output.
    """

    began: float
    seconds: float
    cpu: float
    peak: int
    output: str


def run(command: Sequence[str], folder: Path, *, longest: float, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command for at most `longest` seconds, with its output in `folder` and none of the caller's settings.

    The kernel counts the memory of a process from before its `exec`, when it is a copy of this one: keep the caller
    small. Raises SystemExit with the process's output where it fails.
    """
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **(environment or {})}
    with (folder / "output").open("w+") as output, (folder / "errors").open("w+") as errors:
        began, start = time.time(), time.perf_counter()
        process = subprocess.Popen(command, cwd=ROOT, env=clean, stdin=subprocess.DEVNULL, stdout=output, stderr=errors)
        watchdog = threading.Timer(longest, process.kill)
        watchdog.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - start
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            watchdog.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode != 0:
            errors.seek(0)
            printed = f"{output.read()[-2000:]}\n{errors.read()[-2000:]}"
            raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}:\n{printed}")
        return Ended(began, seconds, usage.ru_utime + usage.ru_stime, _in_bytes(usage.ru_maxrss), output.read())


def _in_bytes(maximum: int) -> int:
    return maximum if sys.platform == "darwin" else maximum * 1024


@dataclass(frozen=True, slots=True)
class Task:
    """What a client of the comparison has to do: send the first `count` records of a file.

    Attributes:
        url: the root of the service.
        records: the path of the file.
        count: how many of its records.
        workers: how many requests may be in flight at once: coroutines or threads.
        oci_config: the path of the OCI configuration to sign with; None sends unsigned.
    """

    url: str
    records: str
    count: int
    workers: int
    oci_config: str | None = None


@dataclass(frozen=True, slots=True)
class Took:
    """What a task took, from its first request to its last response, without preparations.

    Attributes:
        seconds: of wall-clock time.
        cpu: seconds of processor time, user and system, of all threads.
    """

    seconds: float
    cpu: float


def carry_out(module: str, task: Task, folder: Path) -> Took:
    """Run a task in a client: a module of this package, in a process of its own."""
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
    command = (sys.executable, "-m", f"tests.bench.{module}", json.dumps(asdict(task)))
    ended = run(command, folder, longest=60 + task.count / 20, environment=quiet)
    return Took(**json.loads(ended.output.splitlines()[-1]))


def given_task() -> Task:
    """Return the task of this process, which is a client: it is the JSON in its argument."""
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
