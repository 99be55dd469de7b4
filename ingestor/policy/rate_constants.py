"""All constants of the rate controller: value, unit, sensible range, meaning.

The values of SlowStart, recovery and Probe were chosen by a search over simulated services: limits of 2 to 2,000
requests a second, bursts of 0.1 to 1 second, latencies of 5 to 200 ms, limits that fall and rise, and two clients on
one limit. `python -m tests.bench.rate_search` repeats such a search. `docs/rate-control.md` shows the same table.

If one constant is a time and the next a number of attempts, the larger of the two counts: at low rates a second
has too few attempts to decide by.
"""

from dataclasses import dataclass, field
from typing import TypeVar

N = TypeVar("N", int, float)


def _constant(value: N, unit: str, lowest: N, highest: N, meaning: str) -> N:
    # Dataclasses make a field of it; the type checker sees the default value.
    return field(default=value, metadata={"unit": unit, "range": (lowest, highest), "meaning": meaning})


@dataclass(frozen=True, slots=True)
class RateConstants:
    """The table. Limit, rate and hold are those of `rate`; a share is a fraction of 1."""

    # all phases
    lowest_rate: float = _constant(0.5, "1/s", 0.1, 5.0, "the lowest rate")
    first_rate: float = _constant(30.0, "1/s", 5.0, 100.0, "the rate at the beginning")
    step_seconds: float = _constant(0.05, "s", 0.01, 0.2, "time between changes of the rate")
    step_attempts: int = _constant(2, "attempts", 1, 10, "attempts between changes of the rate")
    used_share: float = _constant(0.5, "share", 0.2, 0.9, "of the rate that must be used before it grows")
    speed_seconds: float = _constant(0.25, "s", 0.1, 1.0, "time over which the actual rate is measured")
    speed_attempts: int = _constant(8, "attempts", 4, 30, "attempts over which the actual rate is measured")
    speed_slack: float = _constant(1.05, "factor", 1.0, 1.3, "of the actual rate: the rate that a refusal refuses")
    latency_smoothing: float = _constant(0.1, "share", 0.02, 0.5, "weight of one answer in the average latency")
    lowest_latency: float = _constant(0.005, "s", 0.001, 0.02, "the shortest average latency that counts")
    unknown_latency: float = _constant(0.1, "s", 0.02, 0.5, "the latency before the first answer")
    sample_seconds: float = _constant(0.001, "s", 0.0002, 0.01, "attempts within this time are counted together")
    sample_count: int = _constant(16_384, "counts", 2_048, 65_536, "how many such counts are kept")

    # SlowStart
    max_gain: float = _constant(6.0, "1/s", 2.0, 12.0, "fastest growth, as an exponent: twice the rate in 0.12 s")
    gain_per_latency: float = _constant(0.2, "exponent", 0.05, 1.0, "the most growth within one latency")
    full_gain_rate: float = _constant(200.0, "1/s", 50.0, 500.0, "a lower rate grows more slowly")
    gain_exponent: float = _constant(0.3, "exponent", 0.0, 1.0, "how much more slowly a lower rate grows")
    first_gain: float = _constant(0.25, "1/s", 0.05, 2.0, "growth at first, if a known limit was exceeded")
    gain_doubling: float = _constant(0.4, "s", 0.1, 2.0, "time in which that growth doubles")
    longest_step: float = _constant(1.0, "s", 0.2, 5.0, "the longest time that one step counts for")

    # recovery: the first guess of the limit, and its weight
    guess_after_start: float = _constant(0.5, "share", 0.3, 0.9, "of the refused rate, after SlowStart from nothing")
    guess_after_growth: float = _constant(0.8, "share", 0.5, 0.95, "of the refused rate, after SlowStart from a limit")
    guess_after_fall: float = _constant(0.85, "share", 0.5, 0.98, "of the refused rate at least, after Probe")
    guess_between: float = _constant(0.1, "share", 0.0, 0.5, "of the way from the proven rate to the refused one")
    proven_share: float = _constant(
        0.8, "share", 0.5, 0.95, "of the refused rate: proof of more is better than a guess"
    )
    proven_seconds: float = _constant(0.5, "s", 0.1, 2.0, "the shortest time that proves a rate")
    guess_attempts: float = _constant(3.0, "attempts", 1.0, 10.0, "how many attempts a guess counts as")
    guess_seconds: float = _constant(0.01, "s", 0.0, 0.1, "a guess counts as the attempts of this time")
    relapse_attempts: int = _constant(12, "attempts", 4, 40, "after a recovery: a refusal within them continues it")
    max_relapses: int = _constant(6, "times", 1, 20, "how often a recovery is continued")
    doubt_attempts: float = _constant(1.5, "attempts", 0.5, 5.0, "by which an estimate may be too low")
    max_doubt: float = _constant(0.5, "share", 0.1, 1.0, "by which an estimate may be too low, at most")
    recent_refusals: int = _constant(8, "attempts", 4, 20, "refusals that count alone, if they show a far lower limit")
    far_lower: float = _constant(0.5, "share", 0.2, 0.8, "of the estimate: a limit below it is far lower")
    recent_seconds: float = _constant(0.015, "s", 0.005, 0.1, "time that these refusals must span")

    # Probe: a hold under the limit, then a ramp to `reach` over it
    hold_below: float = _constant(0.05, "share", 0.02, 0.15, "how far under the limit a hold begins")
    hold_end_below: float = _constant(0.01, "share", 0.0, 0.05, "how far under the limit a hold ends")
    shortest_hold: float = _constant(3.5, "s", 1.0, 10.0, "the shortest hold")
    hold_attempts: int = _constant(180, "attempts", 50, 1000, "of a hold for each refusal that the ramp will cost")
    longest_hold: float = _constant(30.0, "s", 10.0, 120.0, "the longest hold")
    ramp: float = _constant(0.15, "share", 0.02, 0.5, "duration of the ramp, of the hold")
    reach: float = _constant(0.05, "share", 0.01, 0.2, "how far over the limit the ramp goes, at `reach_rate`")
    reach_rate: float = _constant(200.0, "1/s", 50.0, 500.0, "a lower limit is exceeded by more")
    reach_exponent: float = _constant(0.5, "exponent", 0.0, 1.0, "by how much more a lower limit is exceeded")
    smallest_reach: float = _constant(0.03, "share", 0.01, 0.1, "the smallest reach")
    largest_reach: float = _constant(0.2, "share", 0.05, 0.5, "the largest reach")
    wide: float = _constant(1.3, "factor", 1.0, 3.0, "times the reach: a larger doubt is probed at once")
    quick_hold: float = _constant(0.1, "s", 0.02, 1.0, "duration of hold and ramp, if the doubt is that large")
    quick_attempts: int = _constant(12, "attempts", 4, 40, "in hold and ramp, if the doubt is that large")
    surplus: float = _constant(0.06, "s", 0.02, 0.3, "worth of attempts accepted beyond the limit: SlowStart begins")
    surplus_attempts: int = _constant(3, "attempts", 1, 10, "in addition to that surplus")
    slack: float = _constant(0.1, "s", 0.02, 0.5, "worth of attempts that were not sent: measuring starts again")
    slack_attempts: int = _constant(5, "attempts", 2, 20, "in addition to that slack")
    pause_hold: float = _constant(15.0, "factor", 2.0, 60.0, "from a Retry-After to the hold that follows it")
    longest_pause_hold: float = _constant(120.0, "s", 30.0, 600.0, "the longest hold after a Retry-After")

    # latency window: attempts in flight where answers are slow
    latency_period: float = _constant(0.5, "s", 0.1, 2.0, "time over which answers are evaluated")
    latency_answers: int = _constant(8, "attempts", 4, 30, "answers that are evaluated together")
    latency_factor: float = _constant(2.0, "factor", 1.3, 4.0, "times the own latency: more is a queue")
    latency_slack: float = _constant(0.05, "s", 0.01, 0.2, "in addition to that, for short latencies")
    latency_same: float = _constant(0.8, "share", 0.5, 0.95, "of a latency, or its inverse: less is a change")
    window_min: int = _constant(4, "attempts", 1, 16, "the smallest window")
    window_growth: float = _constant(1.5, "factor", 1.1, 2.0, "growth of a window that is used and has no queue")
    window_used: float = _constant(0.7, "share", 0.5, 0.9, "of a window: fewer in flight do not use it")
    window_probe: float = _constant(1.1, "factor", 1.05, 1.5, "growth of a window, to see if more answers come")
    window_probe_end: float = _constant(2.0, "factor", 1.5, 4.0, "after which there is no queue, if more answers came")
    first_probe_periods: int = _constant(2, "periods", 1, 10, "until the first such growth; doubles each time")
    last_probe_periods: int = _constant(64, "periods", 16, 256, "between two such growths at most")

    # concurrency window: attempts in flight where their number is limited
    crowded_share: float = _constant(0.02, "share", 0.005, 0.1, "of attempts accepted with as many in flight: crowded")
    crowded_in_a_row: int = _constant(3, "times", 2, 6, "crowded refusals in a row that show such a limit")
    crowded_sample: int = _constant(200, "attempts", 50, 1000, "accepted attempts that are compared together")
    concurrency_hold: float = _constant(5.0, "s", 1.0, 30.0, "time before that window grows")


CONSTANTS = RateConstants()
"""The values in use."""
