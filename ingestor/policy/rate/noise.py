"""The noise: the share of attempts that is refused at any rate."""

from collections import deque

from ingestor.policy.rate.constants import RateConstants


class NoiseFloor:
    """The share of attempts that are refused at any rate, from samples at rates that are proven.

    Attributes:
        lowest: the lowest share of the last samples. Noise is in every sample; refusals that another client or a short
            overload causes are not. BBR finds the round-trip time in the same way.
        mean: the share in all of these samples.
    """

    def __init__(self, constants: RateConstants) -> None:
        self._constants = constants
        self._samples = deque[tuple[int, int]](maxlen=constants.noise_samples)
        self._sent = self._refused = 0
        self._update()

    def add(self, sent: int, refused: int) -> None:
        """Record attempts at a proven rate. Accepted ones count after up to `noise_step` of them, which saves time."""
        self._sent += sent
        self._refused += refused
        if self._sent >= self._constants.noise_sample:
            self._samples.append((self._sent, self._refused))
            self._sent = self._refused = 0
        if refused or self._sent % self._constants.noise_step == 0:
            self._update()

    def _update(self) -> None:
        shares = [self._share(*sample) for sample in self._samples]
        if not shares or self._sent >= self._constants.noise_sample / 2:
            shares.append(self._share(self._sent, self._refused))
        self.lowest = self._bounded(min(shares))
        sent = self._sent + sum(sent for sent, _ in self._samples)
        refused = self._refused + sum(refused for _, refused in self._samples)
        self.mean = self._bounded(self._share(sent, refused))

    def _share(self, sent: int, refused: int) -> float:
        """Return the share of refusals. What is expected before any attempt counts as a few attempts."""
        weight = self._constants.weight
        return (refused + weight * self._constants.first_noise) / (sent + weight)

    def _bounded(self, share: float) -> float:
        return max(self._constants.least_noise, min(self._constants.most_noise, share))
