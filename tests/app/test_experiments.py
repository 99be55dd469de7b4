"""Which experiments can take runs: asked in virtual time, of a service that refuses or fails now and then."""

from collections import deque
from collections.abc import Collection, Iterable, Mapping

import pytest

from ingestor.api.search import Catalog, Existence
from ingestor.app.experiments import MOST_ASKED, Experiments, Questions, problem_of
from ingestor.model.events import Event
from ingestor.model.ports import Pace
from ingestor.model.reply import Fault, Reply
from ingestor.pipeline.pacer import Pacer
from ingestor.policy.advice import Access
from tests.support.virtual import loop_time, run_virtual

OK = Reply(status=200)
BUSY = Reply(status=429, message="slow down")
BROKEN = Reply(status=500, message="oops")
SILENT = Reply(fault=Fault.TIMEOUT, message="No complete answer came in time.")
HELD = Reply(fault=Fault.HELD)
UNREACHED = Reply(fault=Fault.REFUSED, message="connection refused")


class FakeService:
    """A service whose list has some experiments, and which knows others.

    `replies` come before its answers. A question in `broken` always gets that reply.
    """

    def __init__(
        self,
        listed: Collection[str] = (),
        others: Mapping[str, Existence] | None = None,
        *,
        replies: Iterable[Reply] = (),
        broken: Mapping[str, Reply] | None = None,
    ) -> None:
        self.listed = listed
        self.others = others or {}
        self.replies = deque(replies)
        self.broken = broken or {}
        self.asked: list[str] = []
        self.times: list[float] = []

    async def probe(self) -> Reply:
        return self._failure("probe") or OK

    async def experiments(self, pace: Pace) -> Catalog | Reply:
        return self._failure("list") or Catalog(frozenset(self.listed), frozenset())

    async def has_experiment(self, experiment_id: str) -> Existence | Reply:
        return self._failure(experiment_id) or self.others.get(experiment_id, Existence.MISSING)

    def _failure(self, question: str) -> Reply | None:
        self.asked.append(question)
        self.times.append(loop_time())
        return self.replies.popleft() if self.replies else self.broken.get(question)


class Nobody:
    def emit(self, event: Event) -> None:
        pass


def compare(service: FakeService, wanted: Mapping[str, int], rate: float | None = None) -> Experiments:
    async def ask() -> Experiments:
        return await Questions(service, Pacer(rate, Nobody())).compare(wanted)

    return run_virtual(ask())


def probe(service: FakeService) -> Reply:
    async def ask() -> Reply:
        return await Questions(service, Pacer(None, Nobody())).probe()

    return run_virtual(ask())


def test_only_those_that_the_list_lacks_are_asked_for_the_most_frequent_first() -> None:
    service = FakeService({"a"}, {"b": Existence.DELETED, "c": Existence.ACTIVE})
    found = compare(service, {"a": 9, "b": 1, "c": 2, "d": 2})
    assert service.asked == ["list", "c", "d", "b"]
    assert found == Experiments(missing={"d": 2}, deleted={"b": 1})


def test_what_is_beyond_the_most_that_are_asked_for_is_not_known_and_never_usable() -> None:
    found = compare(FakeService(), {f"e{n}": 1 for n in range(MOST_ASKED + 500)})
    assert (len(found.missing), found.not_asked) == (MOST_ASKED, 500)
    assert found.why_not_asked == "no more than 1,000 are asked for one by one"


@pytest.mark.parametrize("reply", [BUSY, BROKEN, SILENT, HELD], ids=lambda it: str(it.status or it.fault))
def test_a_refusal_or_failure_for_the_moment_is_repeated(reply: Reply) -> None:
    assert probe(FakeService(replies=[reply])) == OK
    assert compare(FakeService(replies=[reply, reply]), {"a": 1}) == Experiments(missing={"a": 1})


def test_a_service_that_can_not_be_reached_is_reported_at_once() -> None:
    service = FakeService(replies=[UNREACHED])
    assert probe(service) == UNREACHED
    assert service.asked == ["probe"]


def test_answers_that_violate_http_are_called_malformed() -> None:
    halt = problem_of(Reply(fault=Fault.MALFORMED, message="two lengths"), Access())
    assert halt is not None
    assert halt.reason == "The service answers, but its answers are malformed: two lengths."


def test_a_failure_that_stays_ends_the_questions_and_keeps_what_was_found() -> None:
    service = FakeService(broken=dict.fromkeys("cdefgh", BUSY))
    found = compare(service, {name: 100 - n for n, name in enumerate("abcdefgh")})
    assert (found.missing, found.not_asked, found.why_not_asked) == ({"a": 100, "b": 99}, 6, "429: slow down")
    assert "f" not in service.asked


def test_one_experiment_that_always_fails_does_not_hide_the_others() -> None:
    found = compare(FakeService(broken={"a": BROKEN}), {"a": 2, "b": 1})
    assert (found.missing, found.not_asked, found.why_not_asked) == ({"b": 1}, 1, "500: oops")


def test_a_pause_that_is_too_long_for_a_check_ends_it() -> None:
    service = FakeService(broken={"a": Reply(status=429, retry_after=3600.0, message="come back")})
    found = compare(service, {"a": 1, "b": 1})
    assert service.asked == ["list", "a"]
    assert (found.not_asked, found.why_not_asked) == (2, "429: come back")


def test_the_ceiling_holds_for_every_question() -> None:
    service = FakeService()
    compare(service, {f"e{n}": 1 for n in range(20)}, rate=2.0)
    assert service.times[-1] - service.times[0] >= 10.0 - 0.6
