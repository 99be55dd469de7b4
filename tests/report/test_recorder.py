"""What the journal keeps of an execution is collected from metrics and activity once a second."""

from dataclasses import dataclass

from ingestor.model.activity import Activity, Bound, Health, Hold
from ingestor.model.events import AttemptEnded, BatchFinished, InputRead, RecordRejected, RunsEnded
from ingestor.model.history import Memory, Pause, Point
from ingestor.model.record import Origin, Outcome, Reject, Result
from ingestor.model.reply import Reply
from ingestor.report.metrics import Metrics
from ingestor.report.recorder import Recorder
from tests.support.records import job

START = 1_700_000_000.0


@dataclass
class World:
    """Metrics and a recorder on a clock that a test moves."""

    def __post_init__(self) -> None:
        self.now = START
        self.metrics = Metrics(lambda: self.now)
        self.recorder = Recorder(self.metrics, lambda: self.now, lambda: self.now)

    def emit(self, *emitted: object) -> None:
        for event in emitted:
            self.metrics.emit(event)  # type: ignore[arg-type]
            self.recorder.emit(event)  # type: ignore[arg-type]

    def tick(self, activity: Activity | None = None) -> None:
        self.now += 1
        self.recorder.tick(activity)

    def seconds(self) -> list[Point]:
        return self.recorder.history.points(1)


def attempt(status: int | None, latency_ms: float = 10.0) -> AttemptEnded:
    return AttemptEnded(reply=Reply(status=status, latency_ms=latency_ms), throttled=status == 429)


def busy(hold: Hold | None = None, backlog: int = 0) -> Activity:
    return Activity(health=Health.UP, bound=Bound.SERVICE, hold=hold, backlog=backlog)


def reject(reason: str = "not JSON", line: int = 1, source: str = "a.jsonl") -> RecordRejected:
    return RecordRejected(Reject(Origin(source, line), reason, "text", job_id=f"job-{line}"))


def test_a_second_has_the_attempts_that_ended_in_it() -> None:
    world = World()
    world.emit(attempt(200), attempt(200), attempt(429), attempt(500), attempt(None))
    world.tick(busy(backlog=12))
    world.emit(attempt(200, latency_ms=80.0))
    world.tick(busy())
    first, second = world.seconds()
    assert (first.accepted, first.refused, first.errors, first.backlog) == (2, 1, 2, 12)
    assert (second.accepted, second.refused, second.errors, second.backlog) == (1, 0, 0, 0)
    assert first.latency_p50 is not None
    assert second.latency_p50 is not None
    assert second.latency_p50 > 5 * first.latency_p50


def test_a_pause_is_one_pause_until_requests_are_sent_again() -> None:
    world = World()
    world.tick(busy())
    for second in range(3):
        world.tick(busy(Hold(reason=f"down \udcff, try {second}", seconds=second + 0.5, left=1.0)))
    assert world.recorder.changes().pauses == (Pause(START + 1.5, START + 4, "down \\udcff, try 0"),)
    world.tick(busy(Hold(reason="down", seconds=3.5, left=1.0)))
    assert world.recorder.changes().pauses == (Pause(START + 1.5, START + 5, "down \\udcff, try 0"),)
    world.tick(busy())
    assert world.recorder.is_urgent
    assert world.recorder.changes().pauses == (Pause(START + 1.5, START + 5, "down \\udcff, try 0"),)
    assert world.recorder.changes().pauses == ()
    world.tick(busy(Hold(reason="again", seconds=0.0, left=1.0)))
    assert [it.reason for it in world.recorder.changes().pauses] == ["again"]
    assert [it.paused for it in world.seconds()] == [0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0]


def test_rejected_records_are_counted_by_reason_and_source_with_examples() -> None:
    world = World()
    world.emit(*(reject(f"start_time: '{number}' is not a time", line=number) for number in range(1, 6)))
    world.now += 30
    world.emit(reject(line=9, source="b\udcff.jsonl"))
    assert world.recorder.is_urgent is True
    rejects = world.recorder.changes().rejects
    assert rejects is not None
    assert bool(world.recorder.is_urgent) is False
    times, syntax = rejects.kinds
    assert (rejects.total, dict(rejects.sources)) == (6, {"a.jsonl": 5, "b\\udcff.jsonl": 1})
    assert (times.reason, times.count, times.varies) == ("start_time: '1' is not a time", 5, True)
    assert [(it.line, it.job_id) for it in times.examples] == [(1, "job-1"), (2, "job-2"), (3, "job-3")]
    assert (syntax.count, syntax.varies, syntax.first_at) == (1, False, START + 30)
    assert world.recorder.changes().rejects is None, "nothing changed"


def test_of_very_many_reasons_and_sources_only_the_first_are_kept_apart() -> None:
    world = World()
    world.emit(*(reject(f"field {'x' * number}", source=f"{number}.jsonl") for number in range(1, 1501)))
    rejects = world.recorder.changes().rejects
    assert rejects is not None
    assert (len(rejects.kinds), rejects.others) == (100, 1400)
    assert (len(rejects.sources), rejects.other_sources, rejects.total) == (1000, 500, 1500)


def test_an_execution_that_continues_adds_to_the_rejects_and_another_one_begins_anew() -> None:
    first = World()
    first.emit(reject(line=1), reject(line=2))
    first.tick()
    known = first.recorder.changes()
    second = World()
    second.recorder.resume(known, continues=True)
    assert second.recorder.changes().rejects is None
    second.emit(reject(line=3))
    rejects = second.recorder.changes().rejects
    assert rejects is not None
    assert (rejects.total, rejects.kinds[0].count, rejects.sources) == (3, 3, {"a.jsonl": 3})
    third = World()
    third.recorder.resume(known, continues=False)
    rejects = third.recorder.changes().rejects
    assert rejects is not None
    assert (rejects.total, rejects.kinds) == (0, [])
    assert third.recorder.history.points(1) == first.recorder.history.points(1), "the speed is remembered in any case"


def test_progress_is_that_of_this_execution_and_at_its_end_that_of_the_end() -> None:
    world = World()
    world.emit(InputRead(4, 100, 100, source="a.jsonl"), attempt(200))
    world.emit(RunsEnded([Result(job=job(1), outcome=Outcome.CREATED, attempts=1)], 1))
    progress = world.recorder.changes().progress
    assert progress is not None
    assert (progress.records, progress.left, progress.attempts, progress.at) == (4, 3, 1, START)
    assert (progress.counts["created"], progress.reason) == (1, None)
    end = BatchFinished(
        batch="b", counts={"created": 4}, already_done=0, left=0, exit_code=75, duration=1.0, reason="stop \udcff"
    )
    world.emit(end)
    progress = world.recorder.changes().progress
    assert progress is not None
    assert (progress.counts, progress.left, progress.reason) == ({"created": 4}, 0, "stop \\udcff")


def test_a_second_batch_of_one_session_begins_with_what_its_own_journal_remembers() -> None:
    world = World()
    world.emit(attempt(200), RunsEnded([Result(job=job(1), outcome=Outcome.CREATED, attempts=1)], 1))
    world.recorder.resume(Memory(), continues=False)
    world.tick()
    (second,) = world.seconds()
    assert second.accepted == 0
    progress = world.recorder.changes().progress
    assert progress is not None
    assert progress.counts["created"] == 0
