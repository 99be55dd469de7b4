import json
import subprocess
import sys
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from ingestor.model.errors import UsageError
from ingestor.model.events import (
    BatchHalted,
    BatchPaused,
    BatchProgress,
    BatchResumed,
    BatchStarted,
    Event,
    RateChanged,
    RecordRejected,
    RecordsAlreadyDone,
    RecordsDuplicate,
    SourceCount,
)
from ingestor.model.record import Origin, Reject
from ingestor.model.reply import Fault, Reply
from ingestor.model.sources import SkippedFiles, SourceEnd
from ingestor.report.appender import ReportError
from ingestor.report.log import StructuredLog
from tests.report.examples import (
    ANSWER,
    JOB,
    Watch,
    attempt,
    created,
    ended,
    failed,
    finished,
    partial,
    read,
    rejected,
    retried,
    unresolved,
)

CLOCK = Watch(1_767_323_045.25)
AT = "2026-01-02T03:04:05.250000Z"

JOB_FIELDS = {"job_id": "train-7", "source": "runs.jsonl", "line": 7, "retry_token": "c0ffee"}

LINES: list[tuple[Event, dict[str, Any]]] = [
    (
        created(),
        {
            "event": "run.created",
            "timestamp": AT,
            "level": "info",
            **JOB_FIELDS,
            "run_id": "run-1",
            "experiment_id": "42",
            "http_status": 200,
            "attempts": 2,
            "latency_ms": 12.346,
            **ANSWER,
        },
    ),
    (
        partial(),
        {
            "event": "run.partial",
            "timestamp": AT,
            "level": "error",
            **JOB_FIELDS,
            "run_id": "run-1",
            "experiment_id": "42",
            "http_status": 400,
            "error_code": "InvalidParameter",
            "error_message": "The metric is too long.",
            "attempts": 3,
            "latency_ms": 5.0,
            **ANSWER,
        },
    ),
    (
        failed(),
        {
            "event": "run.failed",
            "timestamp": AT,
            "level": "error",
            **JOB_FIELDS,
            "experiment_id": "42",
            "http_status": 404,
            "error_code": "NotAuthorizedOrNotFound",
            "error_message": "No such experiment.",
            "attempts": 1,
            "latency_ms": 5.0,
            **ANSWER,
        },
    ),
    (
        unresolved(),
        {
            "event": "run.unresolved",
            "timestamp": AT,
            "level": "error",
            **JOB_FIELDS,
            "experiment_id": "42",
            "error_message": "The token expired.",
            "attempts": 0,
        },
    ),
    (
        retried(),
        {
            "event": "run.retried",
            "timestamp": AT,
            "level": "warning",
            **JOB_FIELDS,
            "experiment_id": "42",
            "http_status": 503,
            "error_code": "ServiceUnavailable",
            "error_message": "Try later.",
            "attempts": 1,
            "latency_ms": 250.0,
            **ANSWER,
            "reason": "the service is not available",
            "delay_seconds": 0.75,
        },
    ),
    (
        retried(Reply(fault=Fault.TIMEOUT, latency_ms=30_000.0, opc_client_request_id="OURS")),
        {
            "event": "run.retried",
            "timestamp": AT,
            "level": "warning",
            **JOB_FIELDS,
            "experiment_id": "42",
            "error_code": "timeout",
            "attempts": 1,
            "latency_ms": 30_000.0,
            "opc_client_request_id": "OURS",
            "reason": "the service is not available",
            "delay_seconds": 0.75,
        },
    ),
    (
        RecordRejected(Reject(Origin("-", 3), "tags: must be an object or a list", "[1", job_id="j-3")),
        {
            "event": "run.rejected",
            "timestamp": AT,
            "level": "warning",
            "job_id": "j-3",
            "source": "-",
            "line": 3,
            "error_message": "tags: must be an object or a list",
        },
    ),
    (
        RecordsDuplicate([(JOB, "run-1")]),
        {
            "event": "run.duplicate",
            "timestamp": AT,
            "level": "info",
            **JOB_FIELDS,
            "run_id": "run-1",
            "experiment_id": "42",
        },
    ),
    (
        BatchStarted(batch="nightly", target="https://aidp.test/x", sources=("a.jsonl", "-")),
        {
            "event": "batch.started",
            "timestamp": AT,
            "level": "info",
            "batch": "nightly",
            "target": "https://aidp.test/x",
            "sources": ["a.jsonl", "-"],
        },
    ),
    (
        BatchPaused("the service asks for a pause", 30.0),
        {
            "event": "batch.paused",
            "timestamp": AT,
            "level": "warning",
            "reason": "the service asks for a pause",
            "pause_seconds": 30.0,
        },
    ),
    (BatchResumed("429"), {"event": "batch.resumed", "timestamp": AT, "level": "info", "reason": "429"}),
    (
        BatchHalted("401 NotAuthenticated", "Check the key."),
        {
            "event": "batch.halted",
            "timestamp": AT,
            "level": "error",
            "reason": "401 NotAuthenticated",
            "advice": "Check the key.",
        },
    ),
    (
        BatchHalted("The journal is full.", ""),
        {
            "event": "batch.halted",
            "timestamp": AT,
            "level": "error",
            "reason": "The journal is full.",
            "advice": "Fix this and run the same command again; finished records are not sent again.",
        },
    ),
    (
        finished(3, left=2, duration=1.23456, already_done=7, created=5, failed=1),
        {
            "event": "batch.finished",
            "timestamp": AT,
            "level": "info",
            "batch": "nightly",
            "counts": {
                "created": 5,
                "partial": 0,
                "rejected": 0,
                "failed": 1,
                "unresolved": 0,
                "duplicate": 0,
                "forgotten": 0,
                "already_done": 7,
            },
            "already_done": 7,
            "left": 2,
            "exit_code": 3,
            "duration_seconds": 1.235,
        },
    ),
    (
        BatchStarted(batch="nightly", target="x", sources=("runs",), skipped=SkippedFiles(12, ("runs/a.csv",))),
        {
            "event": "batch.started",
            "timestamp": AT,
            "level": "info",
            "batch": "nightly",
            "target": "x",
            "sources": ["runs"],
            "skipped": {"count": 12, "examples": ["runs/a.csv"]},
        },
    ),
    (
        BatchProgress(
            counts={"created": 5, "failed": 1},
            already_done=7,
            records=20,
            left=7,
            total=100,
            rate=0.10004,
            pause="the service asked to wait",
        ),
        {
            "event": "batch.progress",
            "timestamp": AT,
            "level": "info",
            "counts": {"created": 5, "failed": 1},
            "already_done": 7,
            "records": 20,
            "left": 7,
            "total": 100,
            "rate": 0.1,
            "reason": "the service asked to wait",
        },
    ),
    (
        RateChanged(127.0, "429"),
        {"event": "rate.changed", "timestamp": AT, "level": "info", "rate": 127.0, "reason": "429"},
    ),
    (
        RateChanged(inf, "no limit"),
        {"event": "rate.changed", "timestamp": AT, "level": "info", "reason": "no limit"},
    ),
]


async def logged(path: Path, *events: Event) -> list[str]:
    log = StructuredLog(str(path), CLOCK)
    for event in events:
        log.emit(event)
    await log.close()
    return lines_of(path)


def lines_of(path: Path) -> list[str]:
    return path.read_text("ascii").splitlines()


@pytest.mark.parametrize(("event", "fields"), LINES, ids=[fields["event"] for _, fields in LINES])
async def test_an_event_is_one_line_of_these_fields_in_this_order(
    tmp_path: Path, event: Event, fields: dict[str, Any]
) -> None:
    (line,) = await logged(tmp_path / "log.jsonl", event)
    assert list(json.loads(line).items()) == list(fields.items())


async def test_the_end_of_a_batch_lists_what_was_read_of_each_file(tmp_path: Path) -> None:
    files = [
        SourceCount(source="a.jsonl", records=20, rejected=3, end=SourceEnd.COMPLETE),
        SourceCount(source="b\x1b.gz", records=4, rejected=1, end=SourceEnd.DAMAGED),
        SourceCount(source="c.jsonl", records=1, rejected=0, end=None),
    ]
    (line,) = await logged(tmp_path / "log.jsonl", replace(finished(3), sources=files, other_sources=9))
    assert json.loads(line)["sources"] == [
        {"source": "a.jsonl", "records": 20, "rejected": 3, "complete": True, "damaged": False, "other_format": False},
        {"source": "b\x1b.gz", "records": 4, "rejected": 1, "complete": False, "damaged": True, "other_format": False},
        {"source": "c.jsonl", "records": 1, "rejected": 0, "complete": False, "damaged": False, "other_format": False},
    ]
    assert json.loads(line)["other_sources"] == 9


async def test_the_end_of_a_batch_says_what_was_not_read_and_how_many_lines_of_requests_were_rejected(
    tmp_path: Path,
) -> None:
    (line,) = await logged(tmp_path / "log.jsonl", replace(finished(75), unread_bytes=4096, rejected_lines=3))
    assert (json.loads(line)["unread_bytes"], json.loads(line)["rejected_lines"]) == (4096, 3)


async def test_attempts_reading_and_records_of_earlier_executions_are_not_logged(tmp_path: Path) -> None:
    assert await logged(tmp_path / "log.jsonl", attempt(), read(10), RecordsAlreadyDone(500)) == []


async def test_results_of_different_outcomes_stay_in_order(tmp_path: Path) -> None:
    results = [event.results[0] for event in (created(), failed(), created(), created(), unresolved())]
    lines = await logged(tmp_path / "log.jsonl", ended(*results))
    assert [json.loads(line)["event"] for line in lines] == [
        "run.created",
        "run.failed",
        "run.created",
        "run.created",
        "run.unresolved",
    ]


async def test_rejects_are_on_disk_once_they_are_synced(tmp_path: Path) -> None:
    log = StructuredLog(str(tmp_path / "log.jsonl"), CLOCK)
    log.emit(rejected())
    await log.sync_rejects()
    assert len(lines_of(tmp_path / "log.jsonl")) == 1
    await log.close()


async def test_a_reject_that_can_not_be_written_fails_the_sync() -> None:
    log = StructuredLog("/dev/full", CLOCK)
    log.emit(rejected())
    with pytest.raises(ReportError, match="No space left"):
        await log.sync_rejects()
    with pytest.raises(ReportError):
        await log.close()


async def test_microseconds_are_always_written(tmp_path: Path) -> None:
    log = StructuredLog(str(tmp_path / "log.jsonl"), Watch(0.0))
    log.emit(BatchResumed("429"))
    await log.close()
    assert '"timestamp":"1970-01-01T00:00:00.000000Z"' in (tmp_path / "log.jsonl").read_text()


async def test_hostile_text_stays_inside_its_line(tmp_path: Path) -> None:
    hostile = 'a\nb\r\u2028\x1b[2J\x9b\x00"\\ \udcff {"event":"run.created"}'
    (line,) = await logged(tmp_path / "log.jsonl", failed(message=hostile))
    assert line.isprintable()
    assert json.loads(line)["error_message"] == hostile


async def test_a_later_run_adds_to_the_log(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    await logged(path, BatchResumed("429"))
    assert len(await logged(path, BatchResumed("429"))) == 2
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_log_that_can_not_be_opened_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere/log\.jsonl can't be opened: No such file.*--log"):
        StructuredLog(str(tmp_path / "nowhere" / "log.jsonl"), CLOCK)


async def test_a_full_disk_ends_the_batch_and_not_the_emitter() -> None:
    log = StructuredLog("/dev/full", CLOCK)
    log.emit(created())
    with pytest.raises(ReportError, match="No space left"):
        await log.flush()
    log.emit(created())
    with pytest.raises(ReportError):
        await log.ready()
    with pytest.raises(ReportError):
        await log.close()


SIDECAR = """
import asyncio, sys
from ingestor.model.events import BatchResumed
from ingestor.report.log import StructuredLog
from tests.report.examples import Watch

async def main():
    log = StructuredLog("-", Watch())
    log.emit(BatchResumed("429"))
    await asyncio.to_thread(sys.stdin.read)
    await log.close()

asyncio.run(main())
"""


def test_a_line_on_standard_output_is_there_at_once() -> None:
    command = [sys.executable, "-c", SIDECAR]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "batch.resumed"
        assert process.poll() is None
        process.stdin.close()
        assert process.wait(10) == 0


async def test_a_rejected_record_is_logged_without_its_text(tmp_path: Path) -> None:
    (line,) = await logged(tmp_path / "log.jsonl", rejected(text="a secret of the record"))
    assert "secret" not in line
