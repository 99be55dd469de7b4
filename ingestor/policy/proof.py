"""The proof that address and credentials are right, and the probe that renews or refutes it."""

from enum import Enum, auto
from math import inf

from ingestor.model.reply import Reply

PROBE_INTERVAL = 1.0
"""Seconds from a probe that makes nothing clear to the next one."""


class ProbeState(Enum):
    """What is known from probes since the last proof."""

    NOT_SENT = auto()
    SENT = auto()
    """It was requested; its reply is missing."""
    GRANTED = auto()
    DENIED = auto()
    PAGE = auto()
    """It was refused without an error code: not by the API."""
    UNCLEAR = auto()
    """It was not answered, or not decided: a fault, a 5xx, a 429, credentials that are too old."""

    @classmethod
    def after(cls, reply: Reply) -> "ProbeState":
        """Return what the reply to a probe shows."""
        if reply.status is None or reply.status in (401, 429) or (reply.status >= 500 and reply.status != 501):
            return cls.UNCLEAR
        if reply.is_success:
            return cls.GRANTED
        return cls.PAGE if reply.code is None or reply.status == 501 else cls.DENIED


class Proof:
    """Times are seconds on the caller's monotonic clock.

    Attributes:
        holds: whether address and credentials are right.
        has_created: whether runs were created on this very target, by this execution or an earlier one.
        may_create: whether this execution has created a run, and nothing has cancelled the proof since.
        search_is_forbidden: whether a run was created after a denied probe: then a denied probe shows nothing.
        probe: what is known from probes.
        probe_at: when a probe is due that would make the evidence clear; infinity if none is needed.
    """

    def __init__(self, *, has_created: bool) -> None:
        self.holds = False
        self.has_created = has_created
        self.may_create = False
        self.search_is_forbidden = False
        self.probe = ProbeState.NOT_SENT
        self.probe_at = inf
        self._next_probe_at = -inf
        self._denied_at = inf

    def created(self, sent_at: float) -> None:
        """Record a run that was created by a request of this time."""
        self.has_created = self.may_create = True
        is_after_denial = self.probe is ProbeState.DENIED and sent_at > self._denied_at
        is_discovery = is_after_denial and not self.search_is_forbidden
        self.give()
        if is_discovery:
            self.search_is_forbidden = True
            self.request_probe()  # a right that came back is no forbidden search

    def give(self) -> None:
        """Record a success. Without a run that was created, the right to create is not proven."""
        self.holds, self.probe_at = True, inf
        self.probe = ProbeState.NOT_SENT if self.has_created else ProbeState.GRANTED

    def cancel(self) -> None:
        """Record that the setting may have become wrong."""
        self.may_create = False
        if self.holds:
            self.holds, self.probe = False, ProbeState.NOT_SENT

    def request_probe(self) -> None:
        """Request a probe as soon as one may be sent."""
        self.probe_at = self._next_probe_at

    def ask(self) -> None:
        """Request a probe whose reply decides, if none is in flight."""
        if self.probe is not ProbeState.SENT:
            self.probe = ProbeState.SENT
            self.request_probe()

    def ask_once(self) -> bool:
        """Request such a probe, if there was none since the last proof; return whether there was none."""
        is_first = self.probe is ProbeState.NOT_SENT
        if is_first:
            self.ask()
        return is_first

    def probed(self, reply: Reply, now: float) -> bool:
        """Record the reply to a probe; return whether it was granted."""
        state, self.probe_at = ProbeState.after(reply), inf
        wait = max(PROBE_INTERVAL, reply.retry_after or 0.0)
        self._next_probe_at = now + wait if state is ProbeState.UNCLEAR else -inf
        if state is ProbeState.GRANTED:
            self.search_is_forbidden = False
            self.give()
        elif state is ProbeState.DENIED or self.probe is ProbeState.SENT:
            self.probe, self._denied_at = state, now
        return state is ProbeState.GRANTED
