"""What this machine gives a process: cores, memory and clocks."""

import os
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ingestor.model.admission import JournalTime
from ingestor.policy.expiry import moved_on, resumed

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""The quota of a container's cgroup (version 2), in microseconds a period; missing where there is none."""


def cores(cpu_max: Path = CPU_MAX) -> int:
    """Return how many cores this process may use, at least 1: by its affinity, and by its container's quota."""
    return max(1, min(_affinity(), _quota(cpu_max)))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota(cpu_max: Path) -> int:
    try:
        quota, period = cpu_max.read_text().split()
        return int(quota) // int(period)
    except (OSError, ValueError):  # "max" is no limit
        return 2**31


MEMORY_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # version 1
)
"""The memory that a container may use, in bytes; missing where there is no limit."""
MEMORY_INFO = Path("/proc/meminfo")


def memory(limits: Sequence[Path] = MEMORY_LIMITS, info: Path = MEMORY_INFO) -> int | None:
    """Return how many bytes this process may use: by its limit, its container's and the machine; None if not known."""
    sizes = [size for size in (*map(_number_in, limits), _available(info)) if size is not None]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return min([*sizes, *([] if soft == resource.RLIM_INFINITY else [soft])], default=None)


def _number_in(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # "max" is no limit
        return None


def _available(info: Path) -> int | None:
    try:
        line = next(it for it in info.read_text().splitlines() if it.startswith("MemAvailable:"))
        return int(line.split()[1]) * 1024
    except (OSError, ValueError, LookupError, StopIteration):
        return None


_STEP = 1.0
"""Seconds that wall and monotonic clock may differ before that counts as a step of the wall clock."""


class SystemClock:
    """The port Clock."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()


class SteadyClock:
    """The port Timekeeper, over a wall clock (seconds since the epoch) and a monotonic one."""

    def __init__(self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._known: JournalTime | None = None
        self._known_at = 0.0

    def now(self) -> JournalTime:
        """Return what is known about the time."""
        wall, now = self._wall(), self._monotonic()
        if self._known is None:
            return self._keep(JournalTime(wall, wall), now)
        elapsed = now - self._known_at
        if abs(wall - self._known.wall - elapsed) > _STEP:
            return self._keep(moved_on(self._known, wall, elapsed), now)
        return replace(self._known, time=self._known.time + elapsed, wall=wall)

    def resume(self, last: JournalTime) -> None:
        """Continue from the last time that the journal has recorded."""
        self._keep(resumed(last, self._wall()), self._monotonic())

    def _keep(self, known: JournalTime, now: float) -> JournalTime:
        self._known, self._known_at = known, now
        return known
