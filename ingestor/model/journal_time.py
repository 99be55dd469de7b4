"""A point in time, as one process after the other over a journal tells it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JournalTime:
    """What is known of the time, in seconds since the epoch (see `policy.expiry`).

    Attributes:
        time: never runs backwards, whatever becomes of the wall clock.
        wall: what the wall clock says.
        trusted_since: from when on, in terms of `time`, all that passed is accounted for. What happened before is older
            than it seems, nobody knows by how much.
    """

    time: float
    wall: float
    trusted_since: float = 0.0
