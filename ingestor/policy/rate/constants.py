"""All constants of the rate controller: value, unit, sensible range, meaning."""

from dataclasses import dataclass

from ingestor.policy.constant import constant


@dataclass(frozen=True, slots=True)
class RateConstants:
    """The constants; `docs/rate-control.md` explains their words."""

    lowest_rate: float = constant(0.5, "1/s", 0.1, 5.0, "the lowest rate")
    first_rate: float = constant(30.0, "1/s", 5.0, 100.0, "the rate at the beginning")
    first_latency: float = constant(0.1, "s", 0.02, 0.5, "the average latency before the first answer")
    smoothing: float = constant(0.1, "share", 0.02, 0.5, "weight of one answer in that average")
    step: float = constant(0.05, "s", 0.01, 0.2, "time between changes of the rate")
    used: float = constant(0.7, "share", 0.4, 0.9, "of the rate that must be used before it grows")
    unused: float = constant(0.5, "share", 0.2, 0.9, "of the rate; less used: the allowance may fill up")
    deficit: float = constant(
        1.0, "s", 0.3, 5.0, "worth of attempts fewer than the estimate allows: it may fill up too"
    )
    few: int = constant(3, "attempts", 2, 6, "that show nothing: a step has as many")
    sure: int = constant(12, "attempts", 8, 40, "accepted that measure the limit within some percent")
    weight: int = constant(10, "attempts", 4, 40, "that an expectation counts as, against measured shares")
    overtaking: float = constant(0.25, "latencies", 0.0, 1.0, "in which attempts may overtake each other")
    # noise
    first_noise: float = constant(0.02, "share", 0.01, 0.1, "of attempts refused at any rate, as expected at first")
    least_noise: float = constant(0.002, "share", 0.0005, 0.01, "of attempts refused at any rate, at least")
    most_noise: float = constant(0.07, "share", 0.06, 0.2, "of attempts refused at any rate, at most")
    noise_sample: int = constant(400, "attempts", 100, 2000, "that are one sample of the noise")
    noise_step: int = constant(16, "attempts", 1, 100, "accepted, after which the noise is computed again")
    noise_samples: int = constant(4, "samples", 2, 8, "that are compared")
    # tests
    excess: float = constant(0.1, "share", 0.05, 0.3, "more refusals than noise: what the sequential test looks for")
    evidence: float = constant(1.6, "factor", 1.0, 3.0, "times the logarithm of a hold's attempts: what it asks for")
    price: float = constant(0.2, "share", 0.05, 0.5, "of additional attempts that may be refused: one costs 4")
    errors: float = constant(3.0, "factor", 1.0, 4.0, "times the standard error: what chance explains")
    # growth
    gain: float = constant(6.0, "1/s", 2.0, 12.0, "fastest growth, as an exponent")
    gain_per_latency: float = constant(0.2, "exponent", 0.05, 1.0, "the most growth within one latency")
    full_gain_rate: float = constant(200.0, "1/s", 50.0, 500.0, "a lower rate grows more slowly")
    gain_exponent: float = constant(0.3, "exponent", 0.0, 1.0, "how much more slowly")
    first_gain: float = constant(0.25, "1/s", 0.05, 2.0, "growth over a known limit, at first")
    gain_doubling: float = constant(0.5, "s", 0.1, 2.0, "time in which that growth doubles")
    gain_doubling_latencies: float = constant(4.0, "latencies", 1.0, 10.0, "time in which it doubles, at least")
    # estimates
    kept: float = constant(0.994, "share", 0.9, 1.0, "of a sure estimate that remains when a ramp over it is refused")
    small_cut: float = constant(0.95, "share", 0.8, 1.0, "of an estimate that remains when a ramp over it does not pay")
    noisy_share: float = constant(0.25, "share", 0.1, 0.5, "of attempts refused within a hold: no noise, if more")
    near_fall: float = constant(0.9, "share", 0.7, 1.0, "of an estimate: if it falls lower, it is not sure")
    near: float = constant(0.15, "share", 0.05, 0.5, "that a refused rate may be over a sure estimate, and the reach")
    # hold and ramp
    hold: float = constant(4.0, "s", 1.0, 10.0, "the shortest hold under a sure estimate")
    longest_hold: float = constant(30.0, "s", 10.0, 120.0, "the longest hold")
    budget: float = constant(0.0045, "share", 0.002, 0.02, "of a hold's attempts: refusals that ramp and growth cost")
    below: float = constant(0.016, "share", 0.0, 0.1, "how far under the estimate a hold begins")
    below_at_end: float = constant(0.005, "share", 0.0, 0.05, "how far under the estimate it ends")
    ramp: float = constant(0.15, "share", 0.02, 0.5, "of the hold: how long the ramp rises")
    reach: float = constant(0.03, "share", 0.01, 0.1, "how far over the estimate a ramp goes")
    reach_attempts: float = constant(4.0, "1/s", 1.0, 20.0, "and so much more")
    largest_reach: float = constant(0.1, "share", 0.05, 0.5, "how far it goes at most")
    # closed
    streak: int = constant(5, "attempts", 4, 20, "refused in a row: closed")
    trial_share: float = constant(0.15, "share", 0.05, 0.3, "of the time closed: the time to the next attempt")
    shortest_gap: float = constant(0.05, "s", 0.02, 0.5, "the shortest time to it")
    longest_gap: float = constant(5.0, "s", 1.0, 30.0, "the longest time to it")
    relapses: int = constant(4, "times", 1, 10, "that the service may close again at once")
    window_share: float = constant(0.25, "share", 0.1, 0.5, "of the time between marks: a longer closure is a window's")
    longest_window: float = constant(60.0, "s", 60.0, 3600.0, "a longer closure is an outage, and no window")
    same_time: float = constant(0.75, "share", 0.5, 0.95, "of a time between closures: a longer one is as long")
    recent: float = constant(4.0, "factor", 2.0, 10.0, "times the closure: the time whose average counts too")
    history: int = constant(512, "counts", 128, 4096, "of accepted attempts that are kept for it")
    unknown_share: float = constant(0.5, "share", 0.2, 0.9, "of the refused rate, where nothing is measured")
    least_kept: float = constant(0.7, "share", 0.5, 0.95, "of a rate that was held: the least after a closure")
    closed_share: float = constant(0.2, "share", 0.05, 0.5, "of the next holds that a closure may be as long as")
    closure_decay: float = constant(0.9, "share", 0.5, 0.99, "of the longest closure that remains at the next one")


CONSTANTS = RateConstants()
"""The values in use."""
