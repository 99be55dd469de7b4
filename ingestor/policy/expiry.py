"""How long a retry token protects. Unsure is always answered with "no": what may have expired is never sent again.

A token's life is counted from the first attempt that carried it. Wall clocks are stepped, forth and back, so ages are
told by a time of the journal's own, `JournalTime.time`, which never runs backwards:

- Within a process it moves on by the monotonic clock, or by the wall clock where that moved further (`moved_on`): a
  machine that slept has aged too. A wall clock that is set back changes nothing.
- From one process to the next it moves on by the wall clock, from the last moment that the journal has witnessed
  (`resumed`). A wall clock that is behind that moment by more than `CLOCK_ERROR` was set back now, or was ahead then:
  nobody knows how long the rest was. So a token from before protects no more, since it may be that old, and is not
  forgotten before a whole life has passed since, since it may be that young.

What nobody can see is a clock that is set back between two processes by less than the time that passed; `MARGIN` covers
small steps. A clock that is ahead makes tokens seem older than they are: they are not used again, and let go of only
where their runs were looked for and what was under way has settled.
"""

from ingestor.model.journal_time import JournalTime
from ingestor.policy.identity import TOKEN_LIFE

MARGIN = 30 * 60.0
"""Seconds kept clear on either side of the token's end, for the attempts under way and for clocks that differ."""

CLOCK_ERROR = 5 * 60.0
"""Seconds by which a wall clock may be corrected: OCI refuses signatures from clocks further off."""

_TICK = 1.0  # seconds; sets what was before a rest of unknown length apart from what comes after

NEVER = 0.0
"""When a token was first sent that never was: its life begins with its first attempt."""


def moved_on(before: JournalTime, wall: float, elapsed: float) -> JournalTime:
    """Return the moment `elapsed` monotonic seconds later in the same process, when the wall clock says `wall`."""
    return JournalTime(before.time + max(elapsed, wall - before.wall), wall, before.trusted_since)


def resumed(last: JournalTime, wall: float) -> JournalTime:
    """Return the moment at which a process begins, after the last one that the journal has witnessed."""
    rest = wall - last.wall
    if rest >= -CLOCK_ERROR:
        return JournalTime(last.time + max(0.0, rest), wall, last.trusted_since)
    begun = last.time + _TICK
    return JournalTime(begun, wall, trusted_since=begun)


def protects(first_sent_at: float, now: JournalTime) -> bool:
    """Whether another attempt under the token creates no second run (`first_sent_at` is a `JournalTime.time`)."""
    return first_sent_at >= now.trusted_since and now.time - first_sent_at < TOKEN_LIFE - MARGIN


def forgotten(first_sent_at: float, now: JournalTime) -> bool:
    """Whether the service has surely let go of the token, so that its next use begins a new life."""
    if first_sent_at == NEVER:
        return True
    return now.time - max(first_sent_at, now.trusted_since) > TOKEN_LIFE + MARGIN
