import json
from dataclasses import replace
from math import inf
from textwrap import dedent

import pytest

from ingestor.model.acceptance import Acceptance
from ingestor.model.errors import ExitCode
from ingestor.model.events import (
    BatchHalted,
    Event,
    RateChanged,
    RecordsAlreadyDone,
    RecordsDuplicate,
)
from ingestor.model.record import Outcome
from ingestor.model.reply import Reply
from ingestor.report.ending import Files, Reconciled
from ingestor.report.errors import RETRIED
from ingestor.report.metrics import Metrics
from ingestor.report.summary import as_json, as_text
from tests.report.examples import (
    JOB,
    Watch,
    attempt,
    created,
    failed,
    finished,
    partial,
    read,
    rejected,
    retried,
    unresolved,
)

FILES = Files(log="state/log.jsonl", rejects="state/rejects.jsonl", journal="state/journal.db")
INCOMPLETE = finished(
    3, duration=2.0, already_done=2, created=3, partial=1, rejected=1, failed=1, unresolved=1, duplicate=1
)
COMPLETE = {"complete": True, "damaged": False, "other_format": False}
GO_ON = "Run the same command again; it continues where this one stopped."
FIX_THIS = "Fix this and run the same command again; finished records are not sent again."


def metrics_of(*events: Event) -> Metrics:
    metrics = Metrics(Watch())
    for event in events:
        metrics.emit(event)
    return metrics


@pytest.fixture
def eventful() -> Metrics:
    """A batch in which each kind of end of a record occurred."""
    return metrics_of(
        read(10),
        RateChanged(127.4, "probing"),
        RecordsAlreadyDone(2),
        *[created()] * 3,
        partial(),
        RecordsDuplicate([(JOB, "run-1")]),
        rejected(),
        failed(),
        unresolved(),
        *[retried(Reply(status=429, code="TooManyRequests", message="Slow down."))] * 2,
        *[attempt(10.0)] * 97,
        attempt(50.0, throttled=True),
        attempt(50.0, throttled=True, repeated=True),
        attempt(2_000.0, repeated=True),
    )


def without_latency(text: str) -> str:
    """Leave out the one line whose figures are approximations."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("  latency"))


def test_the_text_of_an_eventful_batch(eventful: Metrics) -> None:
    text = as_text(INCOMPLETE, eventful, FILES)
    expected = """\
        Batch nightly finished after 2.0 s

          created               3
          partial               1
          rejected              1
          failed                1
          unresolved            1
          duplicate             1
          already done          2
          left                  0

          records              10   5.0/s
          attempts            100   429s 2, retries 2, allowed 127/s

        Records read
                   10  runs.jsonl, 1 rejected

        Most frequent errors
                    1  partial     400 InvalidParameter: The metric is too long.
                    1  rejected    start_time: is not whole
                    1  failed      404 NotAuthorizedOrNotFound: No such experiment.
                    1  unresolved  The token expired.
                    2  retried     429 TooManyRequests: Slow down.

        Missing experiments, with their records
                    1  42

          log        state/log.jsonl
          rejects    state/rejects.jsonl
          journal    state/journal.db"""
    tables, advice = without_latency(text).rsplit("\n\n", 1)
    assert tables == dedent(expected)
    assert advice.splitlines() == [
        ("partial: `ingestor results --outcome partial --state state` shows what the service refused; the runs exist."),
        (
            "rejected: state/rejects.jsonl has the reasons. Fix the input and run the same command again; or fix what "
            "`jq -r .record state/rejects.jsonl` prints and send it with `ingestor run -` and the same settings."
        ),
        "missing experiments: create them where the runs go; the same command then sends these records again.",
        (
            "failed: `ingestor results --outcome failed --state state` shows the reasons. The same command sends them "
            "again."
        ),
        (
            "unresolved: `ingestor results --outcome unresolved --state state` shows the reasons. `ingestor "
            "reconcile`, with the same settings, finds out whether their runs exist. `ingestor forget --outcome "
            "unresolved` gives up those that it can't settle."
        ),
    ]


def test_the_text_tells_latencies_by_quantile(eventful: Metrics) -> None:
    (line,) = [line for line in as_text(INCOMPLETE, eventful, FILES).splitlines() if line.startswith("  latency")]
    words = line.replace(",", "").split()
    assert words[1::3] == ["p50", "p95", "p99"]
    assert [float(number) for number in words[2::3]] == pytest.approx([10.0, 10.0, 50.0], rel=0.02)


def test_the_text_of_a_batch_where_all_went_well() -> None:
    text = as_text(finished(created=2), metrics_of(read(2), created(), created()), FILES)
    expected = """\
        Batch nightly finished after 2.0 s

          created               2
          rejected              0
          failed                0
          unresolved            0
          duplicate             0
          already done          0
          left                  0

          records               2   1.0/s
          attempts              0   429s 0, retries 0

        Records read
                    2  runs.jsonl

          log        state/log.jsonl
          journal    state/journal.db

        Every record is a run."""
    assert text == dedent(expected)


def test_the_json_of_an_eventful_batch(eventful: Metrics) -> None:
    summary = json.loads(as_json(INCOMPLETE, eventful, FILES))
    assert summary.pop("latency_ms") == pytest.approx({"p50": 10.0, "p95": 10.0, "p99": 50.0}, rel=0.02)
    assert len(summary.pop("next")) == 5
    assert summary == {
        "batch": "nightly",
        "exit_code": 3,
        "records": 10,
        "counts": {
            "created": 3,
            "partial": 1,
            "rejected": 1,
            "failed": 1,
            "unresolved": 1,
            "duplicate": 1,
            "forgotten": 0,
            "already_done": 2,
        },
        "already_done": 2,
        "left": 0,
        "exhausted": True,
        "unread_bytes": 0,
        "rejected_lines": 0,
        "reason": None,
        "duration_seconds": 2.0,
        "records_per_second": 5.0,
        "attempts": 100,
        "throttled": 2,
        "retries": 2,
        "pace": 127.4,
        "errors": [
            {
                "count": 1,
                "cost": "partial",
                "http_status": 400,
                "code": "InvalidParameter",
                "message": "The metric is too long.",
                "varies": False,
            },
            {
                "count": 1,
                "cost": "rejected",
                "http_status": None,
                "code": None,
                "message": "start_time: is not whole",
                "varies": False,
            },
            {
                "count": 1,
                "cost": "failed",
                "http_status": 404,
                "code": "NotAuthorizedOrNotFound",
                "message": "No such experiment.",
                "varies": False,
            },
            {
                "count": 1,
                "cost": "unresolved",
                "http_status": None,
                "code": None,
                "message": "The token expired.",
                "varies": False,
            },
            {
                "count": 2,
                "cost": "retried",
                "http_status": 429,
                "code": "TooManyRequests",
                "message": "Slow down.",
                "varies": False,
            },
        ],
        "other_errors": 0,
        "missing_experiments": [{"experiment_id": "42", "count": 1}],
        "other_missing_experiments": 0,
        "refused_experiments": [],
        "other_refused_experiments": 0,
        "sources": [{"source": "runs.jsonl", "records": 10, "rejected": 1, **COMPLETE}],
        "other_sources": 0,
        "kept_records": 0,
        "skipped": {"count": 0, "examples": []},
        "halted": None,
        "files": {"log": "state/log.jsonl", "rejects": "state/rejects.jsonl", "journal": "state/journal.db"},
    }


def test_the_json_of_an_empty_batch_has_every_key_too(eventful: Metrics) -> None:
    empty = json.loads(as_json(finished(duration=0.0), metrics_of(), FILES))
    assert empty.keys() == json.loads(as_json(INCOMPLETE, eventful, FILES)).keys()
    assert empty["counts"] == dict.fromkeys(
        ["created", "partial", "rejected", "failed", "unresolved", "duplicate", "forgotten", "already_done"], 0
    )
    assert empty["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert empty["records_per_second"] == 0.0
    assert empty["next"] == ["There were no records."]


def test_an_unlimited_pace_is_not_shown() -> None:
    metrics = metrics_of(RateChanged(inf, "no limit"))
    assert json.loads(as_json(finished(), metrics, FILES))["pace"] is None
    assert "allowed" not in as_text(finished(), metrics, FILES)


def test_the_rate_is_not_called_allowed_where_the_service_never_limited_it() -> None:
    metrics = metrics_of(RateChanged(1_000, "more is accepted"), attempt())
    assert "allowed" not in as_text(finished(), metrics, FILES)
    metrics.emit(attempt(throttled=True))
    assert "429s 1, retries 0, allowed 1,000/s" in as_text(finished(), metrics, FILES)


def test_the_last_sentence_after_a_halt_follows_from_the_exit_code_alone() -> None:
    for advice in ("", "Check the key, then try the same command again."):
        halted = metrics_of(BatchHalted("The key can't be read.", advice))
        summary = json.loads(as_json(finished(4), halted, FILES))
        assert summary["next"] == [*filter(None, [advice]), FIX_THIS]


def test_a_halted_batch_shows_the_reason_and_what_to_check() -> None:
    halted = metrics_of(BatchHalted("401 NotAuthenticated for 5 attempts", "Check the key's fingerprint."))
    end = finished(4, left=9)
    text = as_text(end, halted, FILES)
    assert text.startswith("Batch nightly halted after 2.0 s: 401 NotAuthenticated for 5 attempts\n")
    assert text.endswith(f"Check the key's fingerprint.\n{FIX_THIS}")
    assert "  left                  9\n" in text
    assert json.loads(as_json(end, halted, FILES))["halted"] == {
        "reason": "401 NotAuthenticated for 5 attempts",
        "advice": "Check the key's fingerprint.",
    }


def test_a_stopped_batch_asks_for_the_same_command_again() -> None:
    text = as_text(finished(75, left=3, created=1), metrics_of(read(4), created()), FILES)
    assert text.startswith("Batch nightly stopped after")
    assert text.endswith(GO_ON)


def test_errors_beyond_the_known_kinds_are_counted() -> None:
    metrics = metrics_of(*[failed(message="x" * number) for number in range(103)])
    assert "\n            3  others\n" in as_text(finished(3, failed=103), metrics, FILES)


def test_hostile_text_reaches_no_terminal() -> None:
    hostile = "\x1b]0;title\x07\nBatch nightly finished\u202e"
    metrics = metrics_of(failed(hostile, code=hostile), rejected(reason=hostile), BatchHalted(hostile, hostile))
    files = Files(log=hostile, rejects=hostile, journal=hostile)
    for exit_code in (3, 4):
        text = as_text(finished(exit_code, failed=1, rejected=1), metrics, files)
        assert all(line.isprintable() for line in text.split("\n"))
        assert text.count("\nBatch nightly") == 0
    line = as_json(finished(3, failed=1), metrics, files)
    assert line.isascii()
    assert line.isprintable()


def test_the_fixed_texts_are_plain_ascii(eventful: Metrics) -> None:
    assert as_text(INCOMPLETE, eventful, FILES).isascii()


def test_a_stopped_batch_shows_the_reason_and_that_its_input_was_not_read_to_the_end() -> None:
    stopped = replace(finished(exit_code=75), left=7, reason="the time budget is used up", exhausted=False)
    text = as_text(stopped, metrics_of(), FILES)
    assert text.startswith("Batch nightly stopped after")
    assert "stopped after 2.0 s: the time budget is used up\n" in text
    assert "7   of those read; the input was not read to its end\n" in text


def test_a_stopped_batch_says_how_much_input_is_not_read_where_that_is_known() -> None:
    stopped = replace(finished(exit_code=75), left=7, exhausted=False, unread_bytes=12 * 2**20)
    assert "7   of those read; 12.0 MiB of input are not read\n" in as_text(stopped, metrics_of(), FILES)
    assert json.loads(as_json(stopped, metrics_of(), FILES))["unread_bytes"] == 12 * 2**20


def test_accepted_records_are_counted_with_rejected_lines_and_requests_that_were_not_accepted() -> None:
    metrics = metrics_of()
    assert "accepted" not in as_text(finished(), metrics, FILES)
    metrics.acceptance = Acceptance(accepted=1204, rejected=1, requests={"2xx": 9, "429": 4, "4xx": 2, "5xx": 0})
    text = as_text(finished(), metrics, FILES)
    assert "  accepted          1,204   1 rejected line, 6 requests not accepted\n" in text


def test_errors_that_ended_records_come_first_and_kinds_that_are_left_out_are_counted() -> None:
    metrics = metrics_of()
    for number in range(12):
        for _ in range(5):
            metrics.errors.add(RETRIED, 500 + number, None, "boom")
    metrics.errors.add(Outcome.FAILED, 404, "NotAuthorizedOrNotFound", "No such experiment.")
    lines = as_text(finished(exit_code=3), metrics, FILES).partition("Most frequent errors\n")[2].splitlines()
    assert "failed" in lines[0]
    assert "and 3 more kinds" in lines[10]


def test_the_advice_names_the_state_directory_where_it_is_not_the_default() -> None:
    elsewhere = as_text(INCOMPLETE, metrics_of(), FILES)
    assert "`ingestor results --outcome failed --state state`" in elsewhere
    usual = as_text(INCOMPLETE, metrics_of(), replace(FILES, journal=".ingestor/journal.db"))
    assert "`ingestor results --outcome failed`" in usual


RECONCILED = Reconciled(batches=("nightly", "weekly"), exit_code=ExitCode.INCOMPLETE, left=0, duration=2.0)


def test_the_text_of_a_reconciliation() -> None:
    metrics = metrics_of(created(), created(), failed(), unresolved(), attempt(), attempt(throttled=True))
    expected = """\
        Reconciliation of batch nightly, weekly finished after 2.0 s

          created               2
          not created           1
          unresolved            1
          left                  0

          look-ups              2   429s 1

        Most frequent errors
                    1  failed      404 NotAuthorizedOrNotFound: No such experiment.
                    1  unresolved  The token expired.

          log        state/log.jsonl
          journal    state/journal.db

        not created: run the batch again; it sends them under new tokens.
        unresolved: `ingestor results --outcome unresolved --state state` shows why, and what to do, for each."""
    assert as_text(RECONCILED, metrics, FILES) == dedent(expected)


def test_the_json_of_a_reconciliation() -> None:
    metrics = metrics_of(created(), failed(), attempt(), BatchHalted("401 NotAuthenticated", "Check the key."))
    halted = replace(RECONCILED, exit_code=ExitCode.HALTED, left=3)
    assert json.loads(as_json(halted, metrics, FILES)) == {
        "batches": ["nightly", "weekly"],
        "exit_code": 4,
        "counts": {"created": 1, "not_created": 1, "unresolved": 0},
        "left": 3,
        "duration_seconds": 2.0,
        "look_ups": 1,
        "throttled": 0,
        "halted": {"reason": "401 NotAuthenticated", "advice": "Check the key."},
        "files": {"log": "state/log.jsonl", "journal": "state/journal.db"},
        "next": ["not created: run the batch again; it sends them under new tokens.", "Check the key.", FIX_THIS],
    }


def test_a_reconciliation_without_anything_to_settle_says_so() -> None:
    done = Reconciled(batches=(), exit_code=ExitCode.OK, left=0, duration=0.0)
    assert as_text(done, metrics_of(), FILES).endswith("\n\nNothing was unresolved.")


def test_a_stopped_reconciliation_asks_for_the_same_command_again() -> None:
    text = as_text(replace(RECONCILED, exit_code=ExitCode.STOPPED, left=1), metrics_of(), FILES)
    assert text.startswith("Reconciliation of batch nightly, weekly stopped after 2.0 s\n")
    assert text.endswith(GO_ON)
