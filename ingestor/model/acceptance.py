"""Records that another program sends in a request: what became of them, or why nothing of it is accepted."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

LARGEST = 16 * 1024 * 1024
"""Bytes of a body, as it is sent, and after it is decompressed."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line of a body that is no record: its number from 1, and what is wrong with it."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Posted:
    """What a body holds.

    Attributes:
        lines: the records, each a line without its end.
        rejected: the first of the other lines.
        not_listed: how many more lines were rejected.
    """

    lines: Sequence[bytes]
    rejected: Sequence[Rejected]
    not_listed: int = 0


STATUS_CLASSES = ("2xx", "429", "4xx", "5xx")
"""How answers are counted by their status; 4xx without 429."""


@dataclass(slots=True)
class Acceptance:
    """What became of requests so far.

    Attributes:
        accepted: records that were kept.
        rejected: lines that are no records.
        requests: how many were answered, by the class of the status.
        refused_because: what is wrong with the disk, if the last records could not be kept; else None.
        refused_at: when that was, in monotonic seconds.
    """

    accepted: int = 0
    rejected: int = 0
    refused_because: str | None = None
    refused_at: float = 0.0
    requests: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATUS_CLASSES, 0))

    def count(self, posted: Posted) -> None:
        """Count the lines of a body."""
        self.accepted += len(posted.lines)
        self.rejected += len(posted.rejected) + posted.not_listed
        if posted.lines:
            self.refused_because = None

    def refuse(self, error: "NotAcceptedError", now: float) -> None:
        """Remember why the last records could not be kept, if the disk is the cause. `now`: monotonic seconds."""
        if error.cause is not None:
            self.refused_because, self.refused_at = error.cause, now

    def answered(self, status: int) -> None:
        """Count a request that gets this answer."""
        self.requests["429" if status == 429 else f"{status // 100}xx"] += 1


class Refusal(StrEnum):
    """Why nothing of a request is accepted."""

    DAMAGED = "damaged"
    """What was sent can't be decompressed."""
    TOO_LARGE = "too large"
    """It is larger than one request may be."""
    BUSY = "busy"
    """Too much is kept that is not done yet. Later there is room again."""
    NO_SPACE = "no space"
    """The disk is full. Later there may be room again."""
    NOT_KEPT = "not kept"
    """Writing to the disk failed for another reason."""
    CLOSED = "closed"
    """No more records are accepted: the batch ends."""


class NotAcceptedError(Exception):
    """Nothing of a request was accepted: `str()` says why, and what its sender can do. Sending it again is safe.

    Attributes:
        refusal: the kind of reason.
        cause: what is wrong with the disk, if nothing can be kept; else None.
    """

    def __init__(self, refusal: Refusal, reason: str, *, cause: str | None = None) -> None:
        super().__init__(reason)
        self.refusal = refusal
        self.cause = cause


def too_large(most: str) -> NotAcceptedError:
    """Return the refusal of a body that is larger than `most`."""
    return NotAcceptedError(Refusal.TOO_LARGE, f"the body has more than {most}: send the records in several requests")


class Receiver(Protocol):
    """Where the records of requests go. Both methods raise NotAcceptedError."""

    def receiving(self, seconds: float) -> AbstractAsyncContextManager[None]:
        """Receive a body and accept it inside the block. Raises TimeoutError after so many seconds."""
        ...

    async def accept(self, body: bytes, *, is_gzip: bool) -> Posted:
        """Return what a body holds, once its good records are durable."""
        ...
