from ingestor.model.activity import Activity, Bound, Health, Hold, Phase
from ingestor.report.attempt_classes import AttemptClass, counted
from ingestor.server.readiness import AnswersSeen, Check, readiness

UP = Activity(health=Health.UP, bound=Bound.SERVICE)
FINE = Check(ok=True, reason="", age=0.0)


def seen(*counts: dict[int | str | None, int]) -> AnswersSeen:
    answers = AnswersSeen()
    for second, count in enumerate(counts):
        answers.look(counted(count), float(second))
    return answers


def test_before_the_first_answer_nothing_is_known_and_nothing_is_wrong() -> None:
    unproven = Activity(health=Health.UNPROVEN, bound=Bound.NOTHING)
    assert seen({}).credentials(9.0) == Check(
        ok=True, reason="no answer has shown yet whether they are right", age=None
    )
    assert seen({}).service(unproven, 9.0) == Check(ok=True, reason="no request was answered yet", age=None)


def test_an_answer_to_an_authorised_request_shows_that_the_credentials_are_right() -> None:
    for status in (200, 400, 404):
        assert seen({}, {status: 1}).credentials(5.0) == Check(ok=True, reason="the service accepts them", age=4.0)


def test_refused_credentials_are_not_ready_until_they_are_accepted_again() -> None:
    refused = seen({200: 5}, {200: 5, 401: 1}).credentials(2.5)
    assert (refused.ok, refused.age) == (False, 1.5)
    assert not seen({}, {"unsigned": 1}).credentials(2.0).ok
    assert seen({401: 1}, {401: 1, 200: 1}).credentials(1.0).ok


def test_a_429_and_a_500_show_nothing_about_the_credentials_but_that_the_service_answers() -> None:
    answers = seen({}, {429: 1, 500: 1})
    assert answers.credentials(3.0).age is None
    assert answers.service(UP, 3.0).age == 2.0
    assert seen({}, {"timeout": 3}).service(UP, 3.0).age is None


def test_a_service_that_is_down_is_not_ready_and_the_reason_is_what_it_said() -> None:
    for health in (Health.DOWN, Health.HALF_OPEN, Health.HALTED):
        assert not seen({}).service(Activity(health=health, bound=Bound.OUTAGE), 0.0).ok
    hold = Hold(reason="503: out of order", seconds=3.0, left=1.0)
    held = Activity(health=Health.UP, bound=Bound.OUTAGE, hold=hold)
    assert seen({}).service(held, 0.0) == Check(ok=False, reason="503: out of order", age=None)
    for health in (Health.UP, Health.SUSPECT):
        assert seen({}).service(Activity(health=health, bound=Bound.SERVICE), 0.0).ok


def test_only_a_running_batch_with_every_check_all_right_is_ready() -> None:
    assert readiness(Phase.RUNNING, "", one=FINE).ready
    assert not readiness(Phase.RUNNING, "", one=FINE, two=Check(ok=False, reason="", age=None)).ready
    for phase in (Phase.OPENING, Phase.DRAINING, Phase.FINISHED):
        assert not readiness(phase, "", one=FINE).ready


def test_every_way_an_attempt_can_end_has_one_of_the_classes() -> None:
    assert counted({}) == dict.fromkeys(AttemptClass, 0)
    ends: dict[int | str | None, int] = {200: 1, 201: 2, 429: 4, 302: 8, None: 16, "reset": 32, "refused": 64, 599: 128}
    counts = counted(ends)
    assert counts[AttemptClass.SUCCESS] == 3
    assert counts[AttemptClass.THROTTLED] == 4
    assert counts[AttemptClass.OTHER_STATUS] == 24
    assert counts[AttemptClass.CONNECTION] == 96
    assert counts[AttemptClass.SERVER_ERROR] == 128
    assert sum(counts.values()) == sum(ends.values())


def test_records_that_are_not_accepted_are_named_and_do_not_decide() -> None:
    refused = Check(ok=False, reason="no records are accepted: the disk is full", age=2.0)
    known = readiness(Phase.RUNNING, "waiting", accepting=refused, service=FINE)
    assert (known.ready, known.checks) == (True, {"service": FINE, "accepting": refused})
    assert "accepting" not in readiness(Phase.RUNNING, "waiting", service=FINE).checks
