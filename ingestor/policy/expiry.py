"""How long a retry token protects. In doubt the answer is no: a token that may have expired is never used again.

The life of a token is counted from the first attempt that carried it. Wall clocks are set forwards and backwards, so
ages are measured in the journal time (`JournalTime.time`), which never runs backwards:

- Within a process it follows the monotonic clock, or the wall clock if that moved further (`moved_on`), because the
  monotonic clock may stop while the machine sleeps. A wall clock that is set back changes nothing.
- From one process to the next it follows the wall clock, from the last clock checkpoint in the journal (`resumed`). If
  the wall clock is more than `CLOCK_ERROR` before the checkpoint, it was set back since, or was wrong before. Then
  nobody knows how much time passed. An earlier token no longer protects, because it may be old. It also does not count
  as forgotten before a complete life has passed since, because it may be young.

A clock that is set back between two processes by less than the time that passed can't be detected; `MARGIN` covers
small steps. If the clock is ahead, tokens look older than they are: they are not used again, and are replaced only if
a look-up found no run and all requests in flight have ended.
"""

from ingestor.model.admission import JournalTime
from ingestor.policy.identity import TOKEN_LIFE

MARGIN = 30 * 60.0
"""Seconds around the end of a token's life in which its state is unknown: attempts in flight, clock differences."""

CLOCK_ERROR = 5 * 60.0
"""Seconds by which a wall clock may be corrected: OCI refuses signatures from clocks that are further off."""

_TICK = 1.0  # seconds between the times before and after a break of unknown length

EXPIRED = (
    "the run may exist, and the retry token has expired: the record is not sent again; "
    "`ingestor reconcile` looks for its run"
)
"""Why a job is unresolved whose token no longer protects."""

NEVER = 0.0
"""The `first_sent_at` of a token that was never sent: its life begins with its first attempt."""


def moved_on(before: JournalTime, wall: float, elapsed: float) -> JournalTime:
    """Return the time `elapsed` monotonic seconds later in the same process, when the wall clock shows `wall`."""
    return JournalTime(before.time + max(elapsed, wall - before.wall), wall, before.trusted_since)


def resumed(last: JournalTime, wall: float) -> JournalTime:
    """Return the time at which a process begins, after the last clock checkpoint in the journal."""
    elapsed = wall - last.wall
    if elapsed >= -CLOCK_ERROR:
        return JournalTime(last.time + max(0.0, elapsed), wall, last.trusted_since)
    begun = last.time + _TICK
    return JournalTime(begun, wall, trusted_since=begun)


def protects(first_sent_at: float, now: JournalTime) -> bool:
    """Whether another attempt under the token creates no second run (`first_sent_at` is a `JournalTime.time`)."""
    return first_sent_at >= now.trusted_since and now.time - first_sent_at < TOKEN_LIFE - MARGIN


def forgotten(first_sent_at: float, now: JournalTime) -> bool:
    """Whether the service has certainly forgotten the token, so that its next use begins a new life."""
    if first_sent_at == NEVER:
        return True
    return now.time - max(first_sent_at, now.trusted_since) > TOKEN_LIFE + MARGIN
