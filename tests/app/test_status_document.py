"""The document at /status, made from what a session knows."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from ingestor.app.observing.monitored import MonitoredSession
from ingestor.app.observing.status_document import status_of
from ingestor.app.options import BatchOptions
from ingestor.app.target import Target, aidp
from ingestor.journal.journal import SqliteJournal
from ingestor.model.acceptance import NotAcceptedError, Posted, Refusal
from ingestor.model.activity import Activity, Bound, Health, Hold, Phase
from ingestor.model.events import (
    BatchHalted,
    InputRead,
    RecordRejected,
    RecordsAlreadyDone,
    RecordsDuplicate,
    RunsEnded,
)
from ingestor.model.lag import FileLag, FileState, InputLag
from ingestor.model.record import Origin, Outcome, Reject, Result
from ingestor.report.history import History
from ingestor.report.metrics import Metrics
from ingestor.report.text import json_line
from tests.support.records import job


@dataclass
class Session:
    """A session that a test describes."""

    now: float = 100.0
    phase: Phase = Phase.RUNNING
    exit_code: int | None = None
    has_stopped: bool = False
    options: BatchOptions = field(default_factory=BatchOptions)
    doing: Activity | None = None
    reading: InputLag | None = None
    history: History = field(default_factory=History)
    journal: SqliteJournal | None = None

    def __post_init__(self) -> None:
        self.metrics = Metrics(lambda: self.now)
        self.target: Target = aidp(
            platform_id="p", workspace="w", endpoint="http://127.0.0.1:1", auth="bearer", bearer_token="secret-token"
        )
        self.doing = self.doing or Activity(health=Health.UP, bound=Bound.SERVICE, left=9)

    def activity(self) -> Activity | None:
        return self.doing

    def lag(self) -> InputLag | None:
        return self.reading

    def sentence(self) -> str:
        return "sending"

    def waits_for(self) -> list[str]:
        return []


def read(session: Session, records: int, *, read_bytes: int = 500, total_bytes: int | None = 1000) -> None:
    session.metrics.emit(InputRead(records, read_bytes, total_bytes, "runs.jsonl"))


def ended(session: Session, outcome: Outcome, count: int, **answer: object) -> None:
    results = [replace(Result(job=job(it), outcome=outcome, attempts=1), **answer) for it in range(count)]  # type: ignore[arg-type]
    session.metrics.emit(RunsEnded(results, 1))


async def test_the_counts_of_all_outcomes_and_what_is_left_add_up_to_what_was_read() -> None:
    session = Session()
    monitored = MonitoredSession(session)
    read(session, 100)
    for outcome, count in ((Outcome.CREATED, 30), (Outcome.FAILED, 5), (Outcome.UNRESOLVED, 2), (Outcome.PARTIAL, 1)):
        ended(session, outcome, count)
    session.metrics.emit(RecordsAlreadyDone(20))
    session.metrics.emit(RecordsDuplicate([(job(99), None)]))
    session.metrics.emit(RecordRejected(Reject(Origin("runs.jsonl", 3), "no", "{}")))
    counts = msgspec.to_builtins(status_of(monitored, None).counts)
    assert counts.pop("read") == 100
    assert (counts["left"], sum(counts.values())) == (40, 100)


async def test_a_reconciliation_reads_nothing_and_its_counts_add_up_too() -> None:
    session = Session()
    ended(session, Outcome.CREATED, 4)
    counts = status_of(MonitoredSession(session), None).counts
    assert (counts.read, counts.created, counts.left) == (13, 4, 9)


async def test_failures_have_an_example_with_its_request_id_and_what_to_do() -> None:
    session = Session()
    ended(session, Outcome.FAILED, 3, http_status=404, error_code="NotFound", error_message="no", opc_request_id="A/B")
    ended(session, Outcome.UNRESOLVED, 1, error_code="timeout")
    failed, unresolved = status_of(MonitoredSession(session), None).failures
    assert (failed.outcome, failed.count, failed.request_id, failed.job_id) == ("failed", 3, "A/B", "job-0")
    assert 0 < failed.first <= failed.last
    assert "experiment exists" in failed.advice
    assert "ingestor reconcile" in unresolved.advice


async def test_an_input_with_an_end_has_a_share_and_a_followed_one_has_none() -> None:
    session = Session()
    read(session, 60)
    ended(session, Outcome.CREATED, 30)
    progress = status_of(MonitoredSession(session), None).progress
    assert (progress.percent, progress.total, progress.total_is_exact) == (25.0, 120, False)
    session.options = replace(session.options, follow=True)
    progress = status_of(MonitoredSession(session), None).progress
    assert (progress.percent, progress.total, progress.eta) == (None, None, None)


async def test_there_is_a_time_to_the_end_while_records_are_done_and_none_during_a_pause() -> None:
    session = Session()
    monitored = MonitoredSession(session, lambda: session.now)
    read(session, 500, read_bytes=500)
    for _ in range(30):
        session.now += 1
        ended(session, Outcome.CREATED, 10)
        monitored.look()
    eta = status_of(monitored, None).progress.eta
    assert eta is not None
    assert eta.low < 70 < eta.high
    hold = Hold(reason="503", seconds=1.0, left=2.0)
    session.doing = Activity(health=Health.DOWN, bound=Bound.OUTAGE, hold=hold)
    assert status_of(monitored, None).progress.eta is None


async def test_files_that_an_input_lists_have_their_lag_and_the_counts_of_their_records() -> None:
    session = Session()
    read(session, 7)
    assert [(it.name, it.state, it.records) for it in status_of(MonitoredSession(session), None).files] == [
        ("runs.jsonl", "reading", 7)
    ]
    grown = FileLag(name="runs.jsonl", state=FileState.READING, read_bytes=400, size=1000, waiting_since=1.0)
    session.reading = InputLag(unread_bytes=600, waiting_since=1.0, files=[grown], other_files=4)
    status = status_of(MonitoredSession(session), None)
    (file,) = status.files
    assert (file.records, file.lag_bytes, status.other_files, status.lag.bytes) == (7, 600, 4, 600)
    assert (file.lag_seconds or 0) > 1e9


async def test_once_the_end_is_known_no_file_is_waited_for() -> None:
    session = Session(phase=Phase.FINISHED, exit_code=0)
    session.reading = InputLag(unread_bytes=0, files=[FileLag(name="app.log", state=FileState.WAITING)])
    assert [it.state for it in status_of(MonitoredSession(session), None).files] == ["done"]


async def test_settings_are_shown_without_a_secret() -> None:
    status = status_of(MonitoredSession(Session()), None)
    settings = {it.name: it.value for it in status.settings}
    assert settings["bearer_token"] == "********"
    assert settings["workspace"] == "w"
    assert b"secret-token" not in json_line(msgspec.to_builtins(status))


@pytest.mark.parametrize("code", [0, 2, 3, 4, 75])
async def test_the_end_has_the_exit_code_its_meaning_and_what_to_do(code: int) -> None:
    session = Session(phase=Phase.FINISHED, exit_code=code)
    if code == 4:
        session.metrics.emit(BatchHalted("the workspace is unknown", "Check --workspace."))
    status = status_of(MonitoredSession(session), None)
    assert status.end is not None
    assert (status.end.exit_code, bool(status.end.meaning)) == (code, True)
    assert bool(status.end.next_steps) is (code in (4, 75))
    assert status.end.reason == ("the workspace is unknown" if code == 4 else None)
    assert status_of(MonitoredSession(Session()), None).end is None


@pytest.mark.parametrize("code", [0, 3])
async def test_a_batch_that_its_time_budget_stopped_is_not_said_to_be_complete_whatever_its_exit_code(
    code: int,
) -> None:
    session = Session(phase=Phase.FINISHED, exit_code=code, has_stopped=True)
    end = status_of(MonitoredSession(session), None).end
    assert end is not None
    assert (end.exit_code, end.meaning) == (
        code,
        "stopped by its time budget: something is left, and the next run continues",
    )
    assert end.next_steps == ["Run the same command again; it continues where this one stopped."]


async def test_fifty_million_records_and_hostile_texts_make_a_small_document(tmp_path: Path) -> None:
    session = Session(options=BatchOptions(state=tmp_path / "\udcff"))
    for number in range(300):
        session.metrics.emit(InputRead(166_667, 10**9 * number, 10**12, f"\x1b[2J{number}\ud800"))
        ended(session, Outcome.FAILED, 1, http_status=400 + number, error_message="<script>\u202e" * 1000)
    line = json_line(msgspec.to_builtins(status_of(MonitoredSession(session), 9e12)))
    assert line.isascii()
    assert b"\x1b" not in line
    assert len(line) < 200_000
    document = json.loads(line)
    assert (len(document["files"]), document["other_files"]) == (100, 200)
    assert len(document["failures"]) == 50
    assert document["other_failures"] == 250


async def test_a_program_whose_records_are_refused_sees_why_and_the_batch_stays_ready() -> None:
    session = Session()
    monitored = MonitoredSession(session, clock=lambda: 7.0)
    session.metrics.acceptance.refuse(NotAcceptedError(Refusal.NO_SPACE, "full: later", cause="full"), 4.5)
    known = MonitoredSession.readiness(monitored)
    assert (known.checks["accepting"].ok, known.checks["accepting"].age) == (False, 2.5)
    assert known.checks["accepting"].reason == "no records are accepted: full"
    session.metrics.acceptance.count(Posted([b"{}"], []))
    assert "accepting" not in monitored.readiness().checks


async def test_files_that_are_held_open_are_counted_with_their_size() -> None:
    session = Session(reading=InputLag(unread_bytes=10, held_files=2, held_bytes=4_000))
    lag = status_of(MonitoredSession(session), None).lag
    assert (lag.held_files, lag.held_bytes) == (2, 4_000)
    lag = status_of(MonitoredSession(Session()), None).lag
    assert (lag.held_files, lag.held_bytes) == (0, 0)
