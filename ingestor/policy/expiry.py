"""How long a retry token protects. Unsure is always answered with "no": what may have expired is never sent again.

A token's life is counted from the first attempt that carried it, by our wall clock, which may be stepped while a
batch rests. An age that is negative by more than `CLOCK_ERROR` proves such a step: the true age is unknown, so the
token counts as expired. A step back that leaves a believable age can't be told from rest; `MARGIN` covers small ones.
"""

from ingestor.policy.identity import TOKEN_LIFE

MARGIN = 30 * 60.0
"""Seconds kept clear on either side of the token's end, for the attempts under way and for clocks that differ."""

CLOCK_ERROR = 5 * 60.0
"""Seconds a first attempt may seem to lie in the future: OCI refuses signatures from clocks further off."""


def protects(first_sent_at: float, now: float) -> bool:
    """Whether another attempt under the token surely creates no second run (both in seconds since the epoch)."""
    return -CLOCK_ERROR <= now - first_sent_at < TOKEN_LIFE - MARGIN


def forgotten(first_sent_at: float, now: float) -> bool:
    """Whether the service has surely let go of the token, so that its next use begins a new life."""
    return now - first_sent_at > TOKEN_LIFE + MARGIN
