"""What a summary says about files, errors, missing experiments, and what to do next."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ingestor.model.events import BatchHalted, BatchStarted, Event, RecordRejected
from ingestor.model.record import Origin, Outcome, Reject
from ingestor.model.reply import Reply
from ingestor.model.sources import SkippedFiles, SourceEnd
from ingestor.report.errors import MOST_EXPERIMENTS, ErrorCount
from ingestor.report.failure_advice import advice_about
from ingestor.report.summary import as_json, as_text
from tests.report.examples import finished, missing, read_of, retried, unresolved
from tests.report.test_summary import COMPLETE, FILES, FIX_THIS, INCOMPLETE, metrics_of


def summary_of(*events: Event, exit_code: int = 3, **counts: int) -> tuple[str, dict[str, Any]]:
    """Return both forms of the summary."""
    metrics, end = metrics_of(*events), finished(exit_code, **counts)
    return as_text(end, metrics, FILES), json.loads(as_json(end, metrics, FILES))


def test_errors_that_differ_only_in_ids_are_one_kind_and_the_message_is_called_an_example() -> None:
    events = [missing(f"{number}", f"No Experiment with id={number} exists") for number in (9, 9, 17, 18)]
    text, summary = summary_of(*events, failed=4)
    assert "            4  failed      404 NotFound, for example: No Experiment with id=9 exists\n" in text
    assert [(it["count"], it["varies"]) for it in summary["errors"]] == [(4, True)]


def test_a_message_that_all_errors_of_a_kind_share_is_no_example() -> None:
    text, summary = summary_of(*[missing("9", "No Experiment with id=9 exists")] * 3, failed=3)
    assert "            3  failed      404 NotFound: No Experiment with id=9 exists\n" in text
    assert summary["errors"][0]["varies"] is False


def test_missing_experiments_are_listed_with_their_counts_the_most_frequent_first() -> None:
    counts = {"42": 1, "7": 3, "team a/\u202eexp": 2}
    events = [missing(name, "not found") for name, count in counts.items() for _ in range(count)]
    text, summary = summary_of(*events, failed=6)
    assert (
        "Missing experiments, with their records\n"
        "            3  7\n"
        "            2  team a/\\u202eexp\n"
        "            1  42\n"
    ) in text
    assert summary["missing_experiments"] == [
        {"experiment_id": "7", "count": 3},
        {"experiment_id": "team a/\u202eexp", "count": 2},
        {"experiment_id": "42", "count": 1},
    ]
    assert any(line.startswith("missing experiments: create them") for line in summary["next"])


def test_of_many_missing_experiments_the_text_shows_ten_and_the_command_that_lists_all() -> None:
    text, summary = summary_of(*[missing(f"e{number}", "not found") for number in range(21)], failed=21)
    chosen = "select(.http_status == 403 or .http_status == 404)"
    listing = f"`ingestor results --state state | jq -r '{chosen} | .experiment_id' | sort | uniq -c`"
    assert f"               and 11 more: {listing} lists them\n" in text
    assert len(summary["missing_experiments"]) == 21


def test_experiments_that_may_exist_are_not_called_missing() -> None:
    events = [missing("7", "not found", known=False), missing("7", "no right", status=403, known=False)]
    text, summary = summary_of(*events, failed=2)
    assert "Missing experiments" not in text
    assert (
        "Experiments of refused records, with their records (missing, or no right to create runs)\n            2  7\n"
    ) in text
    assert (summary["missing_experiments"], summary["refused_experiments"]) == (
        [],
        [{"experiment_id": "7", "count": 2}],
    )
    assert any(line.startswith("experiments of refused records: check that they exist") for line in summary["next"])


def test_only_so_many_missing_experiments_are_kept_and_the_other_records_are_counted() -> None:
    events = [missing(f"e{number}", "not found") for number in range(MOST_EXPERIMENTS + 5)]
    text, summary = summary_of(*events, failed=len(events))
    assert len(summary["missing_experiments"]) == MOST_EXPERIMENTS
    assert summary["other_missing_experiments"] == 5
    assert f"and more than {MOST_EXPERIMENTS - 10} others: `ingestor results" in text


def test_a_record_of_a_missing_experiment_counts_although_an_earlier_answer_was_lost() -> None:
    event = missing("9", "not found; the run may exist", outcome=Outcome.UNRESOLVED)
    _, summary = summary_of(missing("9", "not found"), event, failed=1, unresolved=1)
    assert summary["missing_experiments"] == [{"experiment_id": "9", "count": 2}]


@pytest.mark.parametrize(
    "event",
    [
        missing(None, "not found"),
        missing("9", "The value is wrong.", status=400),
        missing("9", "<html>", code=None),
        retried(Reply(status=404, code="NotFound")),
        unresolved(),
    ],
    ids=["no experiment", "another refusal", "no answer of the API", "a retry", "unresolved"],
)
def test_what_is_no_missing_experiment_is_not_listed_as_one(event: Event) -> None:
    text, summary = summary_of(event, failed=1)
    assert summary["missing_experiments"] == []
    assert "Missing experiments" not in text


def test_a_success_that_names_no_run_is_an_error_with_words() -> None:
    text, summary = summary_of(*[retried(Reply(status=200))] * 129, created=129, exit_code=0)
    assert "          129  retried     200: the answer is a success, but it does not name the run\n" in text
    assert summary["errors"][0]["message"] == "the answer is a success, but it does not name the run"


def test_the_sources_are_listed_with_what_was_read_of_each() -> None:
    events: list[Event] = [
        read_of("a.jsonl", 20_000),
        read_of("b.jsonl.gz", 12, SourceEnd.DAMAGED),
        read_of("-", 7, None),
        RecordRejected(Reject(Origin("a.jsonl", 3), "bad", "{")),
    ]
    text, summary = summary_of(*events, rejected=1)
    assert (
        "Records read\n"
        "       20,000  a.jsonl, 1 rejected\n"
        "           12  b.jsonl.gz, damaged: not read to its end\n"
        "            7  standard input, not read to its end\n"
    ) in text
    assert summary["sources"] == [
        {
            "source": "a.jsonl",
            "records": 20_000,
            "rejected": 1,
            "complete": True,
            "damaged": False,
            "other_format": False,
        },
        {
            "source": "b.jsonl.gz",
            "records": 12,
            "rejected": 0,
            "complete": False,
            "damaged": True,
            "other_format": False,
        },
        {"source": "-", "records": 7, "rejected": 0, **COMPLETE, "complete": False},
    ]
    assert any(line.startswith("damaged: b.jsonl.gz could not be read to the end.") for line in summary["next"])


def test_a_source_of_another_format_is_not_called_damaged() -> None:
    reject = Reject(Origin("a.csv", 1), "this is CSV", "a,b", is_other_format=True)
    text, summary = summary_of(read_of("a.csv", 1, SourceEnd.DAMAGED), RecordRejected(reject), rejected=1)
    assert "            1  a.csv, another format: nothing was read\n" in text
    assert summary["sources"] == [
        {"source": "a.csv", "records": 1, "rejected": 1, "complete": False, "damaged": False, "other_format": True}
    ]
    assert not any(line.startswith("damaged:") for line in summary["next"])


def test_kept_records_of_earlier_runs_are_listed_besides_the_files() -> None:
    text, summary = summary_of(read_of(None, 280, None), read_of("a.jsonl", 5), exit_code=0, created=285)
    assert "\n            5  a.jsonl\n          280  that the journal kept of earlier runs\n" in text
    assert (summary["kept_records"], len(summary["sources"])) == (280, 1)


def test_of_many_sources_twenty_are_shown_and_the_others_are_summed_up() -> None:
    text, summary = summary_of(*[read_of(f"{number}.jsonl", 2) for number in range(105)], exit_code=0, created=210)
    assert "\n          170  in 85 more\n" in text
    assert text.count("            2  ") == 20
    assert len(summary["sources"]) == 105


def test_skipped_files_are_counted_with_an_example_and_not_passed_over_in_the_last_sentence() -> None:
    skipped = SkippedFiles(3, ("runs/x.csv", "runs/\x1b[2Jnotes.txt"))
    start = BatchStarted(batch="nightly", target="", sources=("runs",), skipped=skipped)
    text, summary = summary_of(start, read_of("runs/a.jsonl", 2), exit_code=0, created=2)
    assert "  3 files, for example runs/x.csv, runs/\\x1b[2Jnotes.txt\n" in text
    assert text.endswith("\n\nEvery record that was read is a run; 3 files were skipped.")
    assert summary["skipped"] == {"count": 3, "examples": ["runs/x.csv", "runs/\x1b[2Jnotes.txt"]}
    assert summary["next"] == ["Every record that was read is a run; 3 files were skipped."]


def test_a_folder_in_which_every_file_was_skipped_says_so() -> None:
    start = BatchStarted(batch="nightly", target="", sources=("runs",), skipped=SkippedFiles(1, ("runs/x.csv",)))
    text, _ = summary_of(start, exit_code=0)
    assert "  1 file: runs/x.csv\n" in text
    assert text.endswith("There were no records; 1 file was skipped.")


def test_a_batch_with_forgotten_records_does_not_say_that_each_is_a_run() -> None:
    text, summary = summary_of(read_of("a.jsonl", 5), exit_code=0, created=3, forgotten=2)
    assert text.endswith("Every record that was read is a run, except 2 that you gave up (forgotten).")
    assert summary["counts"]["forgotten"] == 2
    assert "  forgotten             2\n" in text


@pytest.mark.parametrize("advice", [f"Check the key. {FIX_THIS}", FIX_THIS, f"{FIX_THIS} Check the key."])
def test_the_closing_sentence_is_the_last_one_whatever_the_advice_says(advice: str) -> None:
    text, summary = summary_of(BatchHalted("The key can't be read.", advice), exit_code=4)
    assert summary["next"] == [advice, FIX_THIS]
    assert text.endswith(f"\n{FIX_THIS}")


def test_advice_that_only_resembles_the_closing_sentence_is_kept_whole() -> None:
    advice = "Fix this and run the same command again."
    _, summary = summary_of(BatchHalted("The key can't be read.", advice), exit_code=4)
    assert summary["next"] == [advice, FIX_THIS]


def test_a_path_with_blanks_is_quoted_in_the_commands() -> None:
    files = replace(FILES, rejects="my state/rejects.jsonl", journal="my state/journal.db")
    text = as_text(INCOMPLETE, metrics_of(), files)
    assert "`ingestor results --outcome failed --state 'my state'`" in text
    assert "`jq -r .record 'my state/rejects.jsonl'`" in text


@pytest.mark.parametrize("outcome", ["failed", "partial"])
def test_a_command_that_is_advised_names_the_batch_it_is_for(outcome: str) -> None:
    error = ErrorCount(1, outcome, 400, "InvalidParameter", "no")
    assert f"--outcome {outcome} --batch nightly`" in advice_about(error, " --batch nightly")
    assert f"--outcome {outcome}`" in advice_about(error)
