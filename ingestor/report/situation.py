"""The one sentence that says what a batch does now, and why it is not faster.

Page, /readyz, `status`, the log, the termination message and systemd show this sentence. Nothing else writes one.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType

from ingestor.model.activity import Activity, Bound, Hold, Phase
from ingestor.model.errors import ExitCode
from ingestor.model.record import Outcome
from ingestor.model.text import printable
from ingestor.policy.advice import DOWN
from ingestor.report.text import spell_count, spell_duration, spell_rate, spell_unread

_LONGEST_REASON = 300  # characters
_DAY = 86_400.0  # seconds

_VERBS = {ExitCode.HALTED: "halted", ExitCode.STOPPED: "stopped", ExitCode.USAGE: "ended"}
_NOT_IN = (Outcome.REJECTED, Outcome.FAILED, Outcome.UNRESOLVED)
_PACED = frozenset({Bound.SERVICE, Bound.RATE, Bound.GROWTH})
_LIMITS: Mapping[Bound, str] = MappingProxyType(
    {
        Bound.SERVICE: "limited by the service",
        Bound.OUTAGE: "limited by the service",
        Bound.GROWTH: "faster and faster until the limit of the service is found",
        Bound.RATE: "limited by --rate",
        Bound.INPUT: "limited by the input",
        Bound.JOURNAL: "limited by the journal, which waits for its disk",
        Bound.PROCESSOR: "limited by the processor of this machine",
        Bound.NOTHING: "not limited so far",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the sentence is made of. Counts are records of this execution.

    Attributes:
        phase: how far the session is.
        activity: what the work does; None before it begins and after it has ended.
        counts: records per outcome.
        already_done: records whose runs earlier executions completed.
        left: records that were read and have no outcome yet.
        rate: records a second that get an outcome at present.
        reason: why the batch stops or has stopped early; None if it does not. It is not trusted.
        is_cut: whether the input was not read to its end, at the end.
        unread_bytes: how much of it was not, at the end; None: not known.
        refused_because: why records that other programs send can't be kept; None if they can.
        exit_code: that of the command; None before it is known.
    """

    phase: Phase
    activity: Activity | None = None
    counts: Mapping[Outcome, int] = field(default_factory=dict)
    already_done: int = 0
    left: int = 0
    rate: float = 0.0
    reason: str | None = None
    is_cut: bool = False
    unread_bytes: int | None = None
    refused_because: str | None = None
    exit_code: int | None = None


def sentence(situation: Situation, now: float) -> str:
    """Return the sentence: printable, without a line end or a period. `now` is in seconds since the epoch."""
    if situation.phase is Phase.FINISHED:
        return _end(situation)
    refused = "" if situation.refused_because is None else f"; {not_accepted(situation.refused_because)}"
    return f"{_now(situation, now)}{refused}"


def not_accepted(why: str) -> str:
    """Say that records which other programs send are refused."""
    return f"no records are accepted: {_printed(why)}"


def _now(situation: Situation, now: float) -> str:
    if situation.phase is Phase.DRAINING:
        return _draining(situation, now)
    if situation.activity is None:
        return "starting: opening the state directory and the service"
    if situation.activity.hold is not None:
        return _holding(situation.activity.hold, now)
    return _running(situation, situation.activity)


def _holding(hold: Hold, now: float) -> str:
    """Say since when nothing is sent, and why."""
    form = "%H:%M UTC" if hold.seconds < _DAY else "%Y-%m-%d %H:%M UTC"
    since = time.strftime(form, time.gmtime(now - hold.seconds))
    return f"waiting for the service since {since}: {_printed(hold.reason.removeprefix(DOWN))}{_what_follows(hold)}"


def _what_follows(hold: Hold) -> str:
    if not isfinite(hold.left):
        return ""
    if hold.gives_up:
        return f"; the batch stops in {spell_duration(hold.left)} unless a request succeeds"
    return f"; next request in {spell_duration(hold.left)}" if hold.left >= 1.0 else "; next request soon"


def _running(situation: Situation, activity: Activity) -> str:
    if activity.bound is Bound.INPUT and not activity.is_reading:
        return f"waiting for the last answers: {in_and_left(situation)}"
    if activity.bound is Bound.INPUT and not activity.left:
        return f"waiting for records: {in_and_left(situation)}"
    return f"sending {spell_rate(situation.rate)}, {_limit(activity)}"


def _limit(activity: Activity) -> str:
    """Say why sending is not faster."""
    if activity.bound is Bound.SLOTS:
        return f"limited by {spell_count(activity.slots, 'request')} in flight at once"
    is_paced = activity.bound in _PACED and activity.allowed_rate is not None
    allowed = f": {spell_rate(activity.allowed_rate or 0.0)} allowed" if is_paced else ""
    return _LIMITS[activity.bound] + allowed


def _draining(situation: Situation, now: float) -> str:
    """Say what is done before the end."""
    activity = situation.activity
    what = "reading and sending what exists" if activity and activity.is_reading else "finishing what was begun"
    why = "" if situation.reason is None else f" ({_printed(situation.reason)})"
    hold = f"; {_holding(activity.hold, now)}" if activity and activity.hold else ""
    return f"{what}{why}: {in_and_left(situation)} so far{hold}"


def _end(situation: Situation) -> str:
    code = ExitCode.OK if situation.exit_code is None else ExitCode(situation.exit_code)
    verb = _VERBS.get(code, "finished")
    why = "" if situation.reason is None else f"; {_printed(situation.reason)}"
    return f"{verb} with exit code {int(code)}: {in_and_left(situation)}{why}"


def in_and_left(situation: Situation) -> str:
    """Return how many records are in the service, and how many are not: `1,204 in, 3 rejected, 0 left`."""
    counts = situation.counts
    inside = sum(counts.values()) - sum(counts.get(it, 0) for it in _NOT_IN) + situation.already_done
    outside = [f"{counts[it]:,} {it}" for it in _NOT_IN if counts.get(it)]
    unread = [f"and {spell_unread(situation.unread_bytes)}"] if situation.is_cut else []
    return ", ".join([f"{inside:,} in", *outside, f"{situation.left:,} left", *unread])


def _printed(text: str) -> str:
    return printable(text, _LONGEST_REASON)
