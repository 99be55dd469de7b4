"""Clients that always have something to send, and a service with a limiter, on virtual time.

Each client asks its control when it may send, as the pacer and the dispatch do: the rate, a pause, and how many
attempts may be in flight.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, auto
from heapq import heappop, heappush
from math import inf
from random import Random
from typing import Protocol

from ingestor.policy.attempt_timeout import AttemptTimeout
from ingestor.simulator.limiters import Limiter

SLICES = 10
"""How many slices a second has; answers are counted in each."""

_BUCKET = 0.05  # seconds of unused rate that the pacer makes up for
_LOOK = 0.1  # seconds between two looks at attempts that are overdue
_EPOCH = 1000.0  # the time at the service when a simulation begins, without its random part


class Control(Protocol):
    """What a client asks before it sends, and reports to. Times are seconds."""

    @property
    def rate(self) -> float: ...
    @property
    def resume_at(self) -> float: ...
    @property
    def size(self) -> int: ...
    def sent(self, now: float, in_flight: int) -> None: ...
    def accepted(self, now: float, sent_at: float) -> None: ...
    def throttled(self, now: float, sent_at: float, retry_after: float | None) -> None: ...


Make = Callable[[float], Control]
"""Returns a new control at a time."""


@dataclass(frozen=True, slots=True)
class Late:
    """Which answers are late: a share of the accepted requests, by how many seconds. `inf`: they have no answer."""

    share: float
    least: float = inf
    most: float = inf

    def draw(self, random: Random) -> float:
        if random.random() >= self.share:
            return 0.0
        return inf if self.least == inf else random.uniform(self.least, self.most)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How a service answers.

    Attributes:
        latency: seconds from a request to its answer, or a function of the time.
        jitter: by which share both halves of the latency vary.
        transit: the share of the latency that a request takes to the limiter. A refusal takes as long back.
        retry_after: what each 429 says; None for nothing.
        late: which answers are late.
    """

    latency: float | Callable[[float], float] = 0.03
    jitter: float = 0.2
    transit: float = 0.5
    retry_after: float | None = None
    late: Late | None = None

    def latency_at(self, now: float) -> float:
        return self.latency if isinstance(self.latency, float) else self.latency(now)


@dataclass(slots=True)
class Client:
    """One client, and what happened to its attempts, in slices.

    Attributes:
        control: what it asks.
        starts: when it begins to send.
        machine: the most attempts a second that its machine makes.
        timeout: when an attempt is overdue; None for never.
        longest: seconds after which an attempt ends in any case, where there is a `timeout`.
        stall: seconds that it may lose before it looks again whether it may send.
        accepted: answers other than 429, in each slice.
        refused: 429s, in each slice.
        sent: all attempts.
        given_up: attempts that took too long.
        in_flight, most_in_flight: attempts without an answer, now and at most.
        due: up to when the rate is used up.
        last: when the last attempt was sent.
        ready_at: until when the client loses time.
    """

    control: Control
    starts: float = 0.0
    machine: float = 2300.0
    timeout: AttemptTimeout | None = None
    longest: float = 60.0
    stall: float = 0.0
    accepted: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    sent: int = 0
    given_up: int = 0
    in_flight: int = 0
    most_in_flight: int = 0
    due: float = -inf
    last: float = -inf
    ready_at: float = -inf

    def next_send(self) -> float:
        """Return when the next attempt may be sent; `inf` while as many are in flight as may be."""
        control = self.control
        if self.in_flight >= control.size:
            return inf
        return max(
            self.due + 1.0 / control.rate,
            self.last + 1.0 / self.machine,
            control.resume_at,
            self.starts,
            self.ready_at,
        )

    def accepted_rate(self, begin: float, end: float) -> float:
        """Return accepted attempts a second between two times."""
        return sum(self.accepted[round(begin * SLICES) : round(end * SLICES)]) / (end - begin)

    def refused_rate(self, begin: float, end: float) -> float:
        """Return refused attempts a second between two times."""
        return sum(self.refused[round(begin * SLICES) : round(end * SLICES)]) / (end - begin)

    def refused_share(self, begin: float, end: float) -> float:
        """Return the share of the answers between two times that were 429s."""
        refused = self.refused_rate(begin, end)
        return refused / max(1e-9, refused + self.accepted_rate(begin, end))


class _Kind(IntEnum):
    ARRIVES = auto()
    ACCEPTED = auto()
    REFUSED = auto()
    OVERDUE = auto()
    GONE = auto()  # the service ends a request whose attempt was given up


_Event = tuple[float, int, _Kind, float, Client, float]  # when, order, kind, sent when, by whom, answered when


class Simulation:
    """Clients and a service. `limiter` may be replaced between two calls of `run`.

    `epoch` is the service's time, in seconds, when the simulation began: random, because windows do not begin with it.
    """

    def __init__(
        self, limiter: Limiter, clients: Sequence[Client], service: Service | None = None, *, seed: int = 1
    ) -> None:
        self.limiter = limiter
        self.clients = clients
        self.now = 0.0
        self._service = service or Service()
        self._random = Random(seed)
        self.epoch = _EPOCH + 60 * self._random.random()
        self._events: list[_Event] = []
        self._order = 0
        self._in_service = 0

    def run(self, until: float) -> None:
        """Let time pass until `until`, in seconds since the beginning."""
        for client in self.clients:
            missing = round((until + 1) * SLICES) - len(client.accepted)
            client.accepted += [0] * missing
            client.refused += [0] * missing
        events, only = self._events, self.clients[0] if len(self.clients) == 1 else None
        while True:
            sender = only or min(self.clients, key=Client.next_send)
            at = sender.next_send()
            if events and events[0][0] <= at:
                if events[0][0] > until:
                    break
                self._happen(heappop(events))
            elif at > until:
                break
            else:
                self.now = max(self.now, at)
                self._send(sender)
        self.now = until

    def _plan(self, at: float, kind: _Kind, sent_at: float, client: Client, answered_at: float = inf) -> None:
        self._order += 1
        heappush(self._events, (at, self._order, kind, sent_at, client, answered_at))

    def _part(self, share: float) -> float:
        """Return how long a part of the latency takes this time."""
        service = self._service
        return share * service.latency_at(self.now) * (1 + service.jitter * (2 * self._random.random() - 1))

    def _send(self, client: Client) -> None:
        now, control = self.now, client.control
        waited = control.resume_at > client.last  # then the pacer has saved up nothing
        client.due = max(client.due + 1.0 / control.rate, now if waited else now - _BUCKET)
        client.last = now
        client.sent += 1
        client.in_flight += 1
        client.most_in_flight = max(client.most_in_flight, client.in_flight)
        control.sent(now, client.in_flight)
        if client.stall and client.due + 1.0 / control.rate > now:
            client.ready_at = now + client.stall * self._random.uniform(0.5, 1.0)
        self._plan(now + self._part(self._service.transit), _Kind.ARRIVES, now, client)

    def _happen(self, event: _Event) -> None:
        self.now, _, kind, sent_at, client, answered_at = event
        now = self.now
        if kind is _Kind.ARRIVES:
            self._arrive(sent_at, client)
        elif kind is _Kind.ACCEPTED:
            self._in_service -= 1
            client.in_flight -= 1
            client.accepted[int(now * SLICES)] += 1
            client.control.accepted(now, sent_at)
            if client.timeout:
                client.timeout.answered(now, sent_at)
        elif kind is _Kind.REFUSED:
            client.in_flight -= 1
            client.refused[int(now * SLICES)] += 1
            client.control.throttled(now, sent_at, self._service.retry_after)
        elif kind is _Kind.OVERDUE:
            self._abandon(sent_at, client, answered_at)
        else:
            self._in_service -= 1

    def _arrive(self, sent_at: float, client: Client) -> None:
        service, now = self._service, self.now
        wait = self.limiter.admit(self.epoch + now, self._in_service + 1)
        if wait is None:
            self._plan(now + self._part(service.transit), _Kind.REFUSED, sent_at, client)
            return
        self._in_service += 1
        late = service.late.draw(self._random) if service.late else 0.0
        answered_at = now + wait + late + self._part(1 - service.transit)
        if client.timeout and answered_at - sent_at > client.timeout.seconds:
            self._plan(max(now, sent_at + client.timeout.seconds), _Kind.OVERDUE, sent_at, client, answered_at)
        else:
            self._plan(answered_at, _Kind.ACCEPTED, sent_at, client)

    def _abandon(self, sent_at: float, client: Client, answered_at: float) -> None:
        """Give up an attempt if its client may; else look again a little later, as `pipeline.attempts` does."""
        now, timeout = self.now, client.timeout
        if timeout and (timeout.abandon(now, sent_at) or now - sent_at >= client.longest):
            client.in_flight -= 1
            client.given_up += 1
            self._plan(answered_at, _Kind.GONE, sent_at, client)
        elif answered_at <= now + _LOOK:
            self._plan(answered_at, _Kind.ACCEPTED, sent_at, client)
        else:
            self._plan(now + _LOOK, _Kind.OVERDUE, sent_at, client, answered_at)
