"""What the machine gives this process."""

import os
from pathlib import Path

CPU_MAX = Path("/sys/fs/cgroup/cpu.max")
"""The quota of a container's cgroup (version 2), in microseconds a period; missing where there is none."""


def cores(cpu_max: Path = CPU_MAX) -> int:
    """Return how many cores this process may keep busy, at least 1: by its affinity, and by its container's quota."""
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
