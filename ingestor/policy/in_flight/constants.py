"""All constants of the limit on attempts in flight: value, unit, sensible range, meaning."""

from dataclasses import dataclass

from ingestor.policy.constant import constant


@dataclass(frozen=True, slots=True)
class InFlightConstants:
    """The table. A share is a fraction of 1."""

    answers: int = constant(25, "answers", 10, 100, "the fewest that are compared, or that prove a larger size")
    remembered: int = constant(16_384, "attempts", 4_096, 65_536, "whose number in flight is remembered")
    # latencies
    period: float = constant(0.5, "s", 0.1, 2.0, "the shortest time over which they are compared")
    factor: float = constant(2.0, "factor", 1.5, 3.0, "between two sizes, and between two latencies, that are compared")
    slack: float = constant(0.02, "s", 0.005, 0.1, "in addition to that, for short latencies")
    used: float = constant(0.75, "share", 0.5, 0.95, "of the size that is in flight, by the median: it is used up")
    gain: float = constant(0.05, "share", 0.02, 0.3, "more answers a second: with fewer, a larger size does not pay")
    trial_gap: int = constant(64, "periods", 8, 256, "from a size that did not pay to the next trial, at most")
    # refusals
    certainty: float = constant(
        0.35, "share", 0.2, 0.95, "of attempts above a limit on their number: refused, at least"
    )
    least_noise: float = constant(0.01, "share", 0.002, 0.02, "of other attempts that are refused, at least")
    burst: int = constant(4, "answers", 2, 16, "over which refusals count as one overload")
    sample: int = constant(200, "answers", 50, 1_000, "over which the noise is averaged; answers between two probes")
    evidence: float = constant(8.0, "log odds", 7.0, 15.0, "that the number in flight is limited")
    hold: float = constant(5.0, "s", 1.0, 30.0, "the shortest time between two probes of a larger size")
    probe: float = constant(0.05, "share", 0.01, 0.2, "of the size that a probe adds at first, at least 1 attempt")


CONSTANTS = InFlightConstants()
"""The values in use."""
