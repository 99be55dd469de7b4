"""Other programs, run to their end, and what that took."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""Where the project lies: the working directory of every process."""


@dataclass(frozen=True, slots=True)
class Ended:
    """What a process took.

    Attributes:
        began: when it was started, in seconds since the epoch.
        seconds: from its start to its end.
        cpu: seconds of processor time, user and system, of it and of all that it started and waited for.
        peak: the most memory (resident set) that it held, in bytes, or one that it waited for did, if more.
        output: its standard output.
    """

    began: float
    seconds: float
    cpu: float
    peak: int
    output: str


def run(command: Sequence[str], folder: Path, *, longest: float, environment: Mapping[str, str] | None = None) -> Ended:
    """Run a command, its output kept in `folder`; none of the caller's settings reach it.

    `longest` is how many seconds it may take. The kernel counts the memory of a process from before its `exec`, as a
    copy of this one: keep the caller small. Raises SystemExit with what it said where it fails.
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
            said = f"{output.read()[-2000:]}\n{errors.read()[-2000:]}"
            raise SystemExit(f"{' '.join(command)}\nended with {process.returncode}:\n{said}")
        return Ended(began, seconds, usage.ru_utime + usage.ru_stime, _in_bytes(usage.ru_maxrss), output.read())


def _in_bytes(maximum: int) -> int:
    return maximum if sys.platform == "darwin" else maximum * 1024
