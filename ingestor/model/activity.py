"""What a batch does at one moment, and why it is not faster. Page, log, `status` and probes are made from it."""

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """How far a session is."""

    OPENING = "opening"
    """The state directory and the journal are being opened."""
    RUNNING = "running"
    """Records are read and sent."""
    DRAINING = "draining"
    """The input ends, or a stop was asked for: what is left is being done."""
    FINISHED = "finished"
    """The end is known, and with it the exit code."""


class Health(StrEnum):
    """The states of the service's health: see the table in `policy.health`."""

    UNPROVEN = "unproven"
    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"
    HALF_OPEN = "half-open"
    HALTED = "halted"


class Bound(StrEnum):
    """What limits the speed at this moment."""

    NOTHING = "nothing"
    """Nothing is known to limit it: the batch has just begun."""
    GROWTH = "growth"
    """The rate still grows, because the limit of the service is not known."""
    SERVICE = "service"
    """The limit of the service: it refuses requests at a higher rate."""
    RATE = "rate"
    """The ceiling that the user has set."""
    SLOTS = "slots"
    """The number of requests in flight, and the time that each takes."""
    INPUT = "input"
    """No record is there to send."""
    JOURNAL = "journal"
    """The journal, which waits for its disk."""
    PROCESSOR = "processor"
    """The processor of this machine."""
    OUTAGE = "outage"
    """The service is down, or refuses every request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why nothing, or nearly nothing, is sent.

    Attributes:
        reason: in words, made of answers of the service: not trusted.
        seconds: since when, in seconds before now.
        left: seconds until the next request, at least 0; infinite where that is not known.
        gives_up: whether the batch is given up then instead, unless a request succeeds.
    """

    reason: str
    seconds: float
    left: float
    gives_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What the work of a batch does at one moment. Counts of records are those of this execution.

    Attributes:
        health: the state of the service.
        bound: what limits the speed.
        hold: why nothing is sent; None if requests are sent.
        allowed_rate: attempts a second that are allowed at present; None without a limit.
        in_flight: attempts that are sent and not answered.
        slots: the most attempts that may be in flight at present.
        backlog: jobs that wait for a slot, for the rate, or for their next attempt.
        left: records that were read and have no outcome yet.
        is_reading: whether more records may come: the input has not ended, and no stop was asked for.
        oldest_in_flight: when the life of the token began of the job that is longest in flight, seconds since the
            epoch; None without one.
    """

    health: Health
    bound: Bound
    hold: Hold | None = None
    allowed_rate: float | None = None
    in_flight: int = 0
    slots: int = 0
    backlog: int = 0
    left: int = 0
    is_reading: bool = True
    oldest_in_flight: float | None = None
