"""How many requests may be in flight, also by the limit of open files: a later failure would not name that limit."""

import resource
from dataclasses import dataclass

from ingestor.app.options import BatchOptions
from ingestor.system.limits import LimitError

NEEDED = 24
"""Files that a process has open besides its connections: journal, log, rejects, sources, spool, sockets to senders."""

SERVED = 600
"""Files that a followed batch may have open in addition: what it follows (256), and connections of clients (320)."""


MOST_IN_FLIGHT = 1024
"""Requests that `auto` allows in flight: what a sender's memory allows."""

FIRST_IN_FLIGHT = 64
"""Requests that `auto` allows in flight at first."""

MOST_OUTSIDE = 1024
"""Requests that may wait outside the slots, where no retry token protects."""


@dataclass(frozen=True, slots=True)
class InFlightBounds:
    """How many requests may be in flight.

    Attributes:
        slots: the most that have a slot, at least 1.
        first: how many have one at first; None for `slots`.
        outside: the most that wait outside the slots, in addition.
    """

    slots: int
    first: int | None
    outside: int

    @property
    def all(self) -> int:
        """The most connections that are in use at once."""
        return self.slots + self.outside


def most_in_flight(options: BatchOptions) -> int:
    """Return how many requests the options allow in flight."""
    return MOST_IN_FLIGHT if options.concurrency == "auto" else options.concurrency


def in_flight_bounds(options: BatchOptions, *, honours_tokens: bool) -> InFlightBounds:
    """Return bounds with which each process opens no more files than it may; raise that limit as far as allowed.

    `honours_tokens`: no request waits outside the slots. Raises LimitError if the limit leaves no connection.
    """
    is_auto, slots = options.concurrency == "auto", most_in_flight(options)
    outside = 0 if honours_tokens else MOST_OUTSIDE
    others = NEEDED + options.senders
    limit = _raised_to(others + slots + outside + (SERVED if options.follow else 0))
    left = min(limit - others, slots + outside)
    if left < 1:
        raise LimitError(
            f"The limit of open files (ulimit -n) is {limit:,}, and at least {others + 1:,} are needed; "
            f"{others + slots + outside:,} for --concurrency {options.concurrency}. Raise it and run the same command "
            "again."
        )
    slots = min(slots, max(1, left // 2) if is_auto and outside else left)
    return InFlightBounds(slots, min(FIRST_IN_FLIGHT, slots) if is_auto else None, min(outside, left - slots))


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
