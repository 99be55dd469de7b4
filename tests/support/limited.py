"""Clients with a rate controller each, and a service with a limit that they do not know, in simulated time."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Protocol

from ingestor.policy.rate import RateController
from ingestor.simulator.gate import TokenBucket

_BUCKET_SECONDS = 0.05  # as the pacer has it


class Limiter(Protocol):
    """Accepts a request or refuses it; an accepted one leaves when it is answered."""

    def enters(self) -> bool: ...
    def leaves(self) -> None: ...


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


class RateLimit:
    """The simulator's token bucket as a Limiter."""

    def __init__(self, limit: float, burst: float, clock: Clock) -> None:
        self.bucket = TokenBucket(limit, burst, clock)

    def enters(self) -> bool:
        return self.bucket.take() == 0.0

    def leaves(self) -> None: ...


@dataclass
class ConcurrencyLimit:
    """Accepts a request while fewer than `most` are inside."""

    most: int
    inside: int = 0

    def enters(self) -> bool:
        if self.inside >= self.most:
            return False
        self.inside += 1
        return True

    def leaves(self) -> None:
        self.inside -= 1


@dataclass(frozen=True)
class Traffic:
    """What was sent: when, by which client, and whether it was accepted."""

    sent: Sequence[tuple[float, int, bool]]

    def between(self, start: float, end: float, client: int | None = None) -> "Traffic":
        return Traffic([it for it in self.sent if start <= it[0] < end and client in (None, it[1])])

    @property
    def accepted(self) -> int:
        return sum(it[2] for it in self.sent)

    @property
    def refused(self) -> int:
        return len(self.sent) - self.accepted

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, len(self.sent))

    def goodput(self, start: float, end: float, client: int | None = None) -> float:
        """Return how many a second were accepted of what was sent between two times."""
        return self.between(start, end, client).accepted / (end - start)


_Event = tuple[float, int, str, int, float, bool]  # when, order, kind, client, sent when, accepted


@dataclass
class _Client:
    controller: RateController
    level: float = 0.0
    checked: float = 0.0
    in_flight: int = 0

    def wait(self) -> float:
        """Return the seconds until the bucket has room for another attempt."""
        cost = 1.0 / self.controller.rate
        return self.level + cost - max(_BUCKET_SECONDS, cost)

    def has_room(self) -> bool:
        window = self.controller.window
        return window is None or self.in_flight < window


class World:
    """Clients that always have something to send, and the service that they send it to.

    An answer takes `latency`, and up to `jitter` more. The request is on its way for the share `transit` of that. The
    refusals of a `curt` service take no longer than the two ways. Clients lose up to `delay` seconds between attempts.
    """

    def __init__(
        self,
        clients: Sequence[RateController],
        latency: float,
        *,
        jitter: float = 0.002,
        transit: float = 0.4,
        curt: bool = True,
        delay: float = 0.001,
        seed: int = 1,
    ) -> None:
        self.clock = Clock()
        self._clients = [_Client(controller) for controller in clients]
        self._latency, self._jitter, self._transit, self._curt = latency, jitter, transit, curt
        self._delay = delay
        self._random = Random(seed)
        self._order = count()
        self._events: list[_Event] = []
        self._sent: list[tuple[float, int, bool]] = []
        for number in range(len(clients)):
            self._plan(0.0, "send", number)

    def run(self, limiter: Limiter, until: float) -> Traffic:
        """Let time pass until `until`; return all that was sent since the beginning."""
        while self._events and self._events[0][0] < until:
            self.clock.now, _, kind, client, sent_at, accepted = heapq.heappop(self._events)
            if kind == "send":
                self._send(self._clients[client], client)
            elif kind == "arrive":
                self._arrive(client, sent_at, limiter)
            else:
                self._answer(self._clients[client], sent_at, limiter if accepted else None)
        return Traffic(self._sent)

    def _plan(self, at: float, kind: str, client: int, sent_at: float = 0.0, *, accepted: bool = False) -> None:
        heapq.heappush(self._events, (at, next(self._order), kind, client, sent_at, accepted))

    def _send(self, client: _Client, number: int) -> None:
        now = self.clock.now
        client.level = max(0.0, client.level - (now - client.checked))
        client.checked = now
        while (wait := client.wait()) <= 1e-12 and client.has_room():
            client.level += 1.0 / client.controller.rate
            client.in_flight += 1
            client.controller.sent(now, client.in_flight)
            late = self._random.uniform(0.0, self._jitter)
            self._plan(now + (self._latency + late) * self._transit, "arrive", number, now)
        self._plan(now + max(wait, self._random.uniform(0.5, 1.0) * self._delay), "send", number)

    def _arrive(self, client: int, sent_at: float, limiter: Limiter) -> None:
        accepted = limiter.enters()
        self._sent.append((sent_at, client, accepted))
        way = self.clock.now - sent_at
        back = way * (1 / self._transit - 1) if accepted or not self._curt else way
        self._plan(self.clock.now + back, "answer", client, sent_at, accepted=accepted)

    def _answer(self, client: _Client, sent_at: float, limiter: Limiter | None) -> None:
        client.in_flight -= 1
        if limiter is not None:
            limiter.leaves()
            client.controller.accepted(self.clock.now, sent_at)
        else:
            client.controller.throttled(self.clock.now, sent_at)
