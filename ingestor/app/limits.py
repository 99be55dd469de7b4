"""The limit of open files, seen before it is met: SQLite and the connections would only fail without a reason."""

import resource
from dataclasses import replace

from ingestor.app.options import BatchOptions
from ingestor.system.limits import LimitError

NEEDED = 24
"""Files that a process has open besides its connections: journal, log, rejects, sources, spool, sockets to senders."""


def within_limits(options: BatchOptions) -> BatchOptions:
    """Return options with which each process opens no more files than it may; raise that limit as far as allowed.

    Raises LimitError if it leaves no connection.
    """
    wanted = NEEDED + options.senders + options.concurrency
    limit = _raised_to(wanted)
    left = limit - NEEDED - options.senders
    if left < 1:
        raise LimitError(
            f"The limit of open files (ulimit -n) is {limit:,}, and at least {wanted - options.concurrency + 1:,} are "
            f"needed; {wanted:,} for --concurrency {options.concurrency}. Raise it and run the same command again."
        )
    return replace(options, concurrency=min(options.concurrency, left))


def require_files(count: int) -> None:
    """Let this process open so many files. Raises LimitError."""
    if (limit := _raised_to(count)) < count:
        raise LimitError(
            f"The limit of open files (ulimit -n) is {limit:,}, and at least {count:,} are needed. Raise it and run "
            "the same command again."
        )


def _raised_to(wanted: int) -> int:
    """Return how many files this process may open, after the soft limit was raised towards `wanted`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    possible = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if possible > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (possible, hard))
    return max(soft, possible)
