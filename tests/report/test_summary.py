import json
from dataclasses import replace
from math import inf
from textwrap import dedent

import pytest

from ingestor.model.events import BatchHalted, Event, RateChanged, RecordsDuplicate
from ingestor.model.reply import Reply
from ingestor.pipeline.floor import AFTER_AN_ERROR
from ingestor.report.metrics import Metrics
from ingestor.report.summary import Files, as_json, as_text
from ingestor.report.tally import Cost
from tests.report.examples import (
    JOB,
    Watch,
    attempt,
    created,
    failed,
    finished,
    read,
    rejected,
    retried,
    unresolved,
)

FILES = Files(log="state/log.jsonl", rejects="state/rejects.jsonl", journal="state/journal.db")
INCOMPLETE = finished(3, duration=2.0, created=4, rejected=1, failed=1, unresolved=1, duplicate=1)


def metrics_of(*events: Event) -> Metrics:
    metrics = Metrics(Watch())
    for event in events:
        metrics.emit(event)
    return metrics


@pytest.fixture
def eventful() -> Metrics:
    """A batch in which everything happened that can happen to a record."""
    return metrics_of(
        read(8),
        RateChanged(127.4, "probing"),
        *[created()] * 4,
        RecordsDuplicate([(JOB, "run-1")]),
        rejected(),
        failed(),
        unresolved(),
        *[retried(Reply(status=429, code="TooManyRequests", message="Slow down."))] * 2,
        *[attempt(10.0)] * 97,
        attempt(50.0, throttled=True),
        attempt(50.0, throttled=True),
        attempt(2_000.0),
    )


def without_latency(text: str) -> str:
    """Leave out the one line whose figures are approximations."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("  latency"))


def test_the_text_of_an_eventful_batch(eventful: Metrics) -> None:
    text = as_text(INCOMPLETE, eventful, FILES)
    expected = """\
        Batch nightly finished after 2.0 s

          created               4
          rejected              1
          failed                1
          unresolved            1
          duplicate             1
          left                  0

          records               8   4.0/s
          attempts            100   429s 2, retries 2, allowed 127/s

        Most frequent errors
                    1  rejected    start_time: is not whole
                    1  failed      404 NotAuthorizedOrNotFound: No such experiment.
                    1  unresolved  The token expired.
                    2  retried     429 TooManyRequests: Slow down.

          log        state/log.jsonl
          rejects    state/rejects.jsonl
          journal    state/journal.db"""
    tables, advice = without_latency(text).rsplit("\n\n", 1)
    assert tables == dedent(expected)
    assert advice.splitlines() == [
        (
            "rejected: state/rejects.jsonl tells why. Mend the input and run the same command again, or mend what "
            "`jq -r .record state/rejects.jsonl` prints and feed it to `ingestor run -` with the same settings."
        ),
        (
            "failed: `ingestor results --outcome failed --state state` tells why. Run the same command again to try "
            "them again."
        ),
        (
            "unresolved: `ingestor results --outcome unresolved --state state` tells why. `ingestor reconcile`, with "
            "the same settings, settles them: it asks the service."
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
          left                  0

          records               2   1.0/s
          attempts              0   429s 0, retries 0

          log        state/log.jsonl
          journal    state/journal.db

        Every record is a run."""
    assert text == dedent(expected)


def test_the_json_of_an_eventful_batch(eventful: Metrics) -> None:
    summary = json.loads(as_json(INCOMPLETE, eventful, FILES))
    assert summary.pop("latency_ms") == pytest.approx({"p50": 10.0, "p95": 10.0, "p99": 50.0}, rel=0.02)
    assert len(summary.pop("next")) == 3
    assert summary == {
        "batch": "nightly",
        "exit_code": 3,
        "records": 8,
        "counts": {"created": 4, "rejected": 1, "failed": 1, "unresolved": 1, "duplicate": 1},
        "left": 0,
        "exhausted": True,
        "reason": None,
        "duration_seconds": 2.0,
        "records_per_second": 4.0,
        "attempts": 100,
        "throttled": 2,
        "retries": 2,
        "pace": 127.4,
        "errors": [
            {"count": 1, "cost": "rejected", "http_status": None, "code": None, "message": "start_time: is not whole"},
            {
                "count": 1,
                "cost": "failed",
                "http_status": 404,
                "code": "NotAuthorizedOrNotFound",
                "message": "No such experiment.",
            },
            {"count": 1, "cost": "unresolved", "http_status": None, "code": None, "message": "The token expired."},
            {"count": 2, "cost": "retried", "http_status": 429, "code": "TooManyRequests", "message": "Slow down."},
        ],
        "other_errors": 0,
        "halted": None,
        "files": {"log": "state/log.jsonl", "rejects": "state/rejects.jsonl", "journal": "state/journal.db"},
    }


def test_the_json_of_an_empty_batch_has_every_key_too(eventful: Metrics) -> None:
    empty = json.loads(as_json(finished(duration=0.0), metrics_of(), FILES))
    assert empty.keys() == json.loads(as_json(INCOMPLETE, eventful, FILES)).keys()
    assert empty["counts"] == dict.fromkeys(["created", "rejected", "failed", "unresolved", "duplicate"], 0)
    assert empty["latency_ms"] == {"p50": None, "p95": None, "p99": None}
    assert empty["records_per_second"] == 0.0
    assert empty["next"] == ["There were no records."]


def test_an_unlimited_pace_is_not_told() -> None:
    metrics = metrics_of(RateChanged(inf, "no limit"))
    assert json.loads(as_json(finished(), metrics, FILES))["pace"] is None
    assert "allowed" not in as_text(finished(), metrics, FILES)


def test_advice_that_says_how_to_go_on_is_not_repeated() -> None:
    halted = metrics_of(BatchHalted("The key can't be read.", AFTER_AN_ERROR))
    assert as_text(finished(4), halted, FILES).count("the same command again") == 1


def test_a_halted_batch_says_why_and_what_to_look_at() -> None:
    halted = metrics_of(BatchHalted("401 NotAuthenticated for 5 attempts", "Look at the key's fingerprint."))
    end = finished(4, left=9)
    text = as_text(end, halted, FILES)
    assert text.startswith("Batch nightly halted after 2.0 s: 401 NotAuthenticated for 5 attempts\n")
    assert text.endswith(
        "Look at the key's fingerprint.\nMend that and run the same command again: what is done stays done."
    )
    assert "  left                  9\n" in text
    assert json.loads(as_json(end, halted, FILES))["halted"] == {
        "reason": "401 NotAuthenticated for 5 attempts",
        "advice": "Look at the key's fingerprint.",
    }


def test_a_stopped_batch_is_to_be_run_again() -> None:
    text = as_text(finished(75, left=3, created=1), metrics_of(read(4), created()), FILES)
    assert text.startswith("Batch nightly stopped after")
    assert text.endswith("Run the same command again: it goes on where this one stopped.")


def test_errors_that_were_not_told_apart_are_counted() -> None:
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


def test_our_own_words_are_plain_ascii(eventful: Metrics) -> None:
    assert as_text(INCOMPLETE, eventful, FILES).isascii()


def test_a_batch_that_was_stopped_says_why_and_that_more_is_to_be_read() -> None:
    stopped = replace(finished(exit_code=75), left=7, reason="the --time-budget is used up", exhausted=False)
    text = as_text(stopped, metrics_of(), FILES)
    assert text.startswith("Batch nightly stopped after")
    assert "stopped after 2.0 s: the --time-budget is used up\n" in text
    assert "7   of those read; the input was not read to its end\n" in text


def test_what_ended_records_is_told_before_what_was_only_retried_and_what_is_left_out_is_counted() -> None:
    metrics = metrics_of()
    for number in range(12):
        for _ in range(5):
            metrics.errors.add(Cost.RETRIED, 500 + number, None, "boom")
    metrics.errors.add(Cost.FAILED, 404, "NotAuthorizedOrNotFound", "No such experiment.")
    lines = as_text(finished(exit_code=3), metrics, FILES).partition("Most frequent errors\n")[2].splitlines()
    assert "failed" in lines[0]
    assert "and 3 kinds more" in lines[10]


def test_the_advice_names_the_state_directory_where_it_is_not_the_default() -> None:
    elsewhere = as_text(INCOMPLETE, metrics_of(), FILES)
    assert "`ingestor results --outcome failed --state state`" in elsewhere
    usual = as_text(INCOMPLETE, metrics_of(), replace(FILES, journal=".ingestor/journal.db"))
    assert "`ingestor results --outcome failed`" in usual
