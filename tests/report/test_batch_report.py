"""What the report of a batch says first, from how its last execution ended."""

import pytest

from ingestor.model.account import CountTable, ExecutionRow, Failures, Pruned
from ingestor.model.history import Progress, Rejects
from ingestor.report.batch_report import BatchReport, Life, headline, sentences
from ingestor.report.html.batch_html import as_html


def report(
    code: int | None, *, left: int = 0, exhausted: bool = True, life: Life = Life.ENDED, runs: int = 479
) -> BatchReport:
    progress = Progress(
        at=9.0,
        records=runs + left,
        counts={},
        already_done=0,
        left=left,
        attempts=runs,
        throttled=0,
        retries=0,
        latency_p50=None,
        latency_p95=None,
        exhausted=exhausted,
    )
    last = ExecutionRow(
        number=1,
        started_at=1.0,
        ended_at=None if code is None else 9.0,
        exit_code=code,
        counts=None if code is None else {},
        already_done=0,
        left=None if code is None else left,
        description=None,
        progress=progress,
    )
    return BatchReport(
        batch="default",
        target="here",
        state_option="",
        made_at=10.0,
        made_by="1",
        life=life,
        jobs={"created": runs},
        pruned=Pruned({}, None),
        rejects=Rejects(),
        forgotten_rejects=0,
        executions=[last],
        failures=Failures([], 0),
        sources=CountTable(other_counts={}),
        experiments=CountTable(other_counts={}),
    )


@pytest.mark.parametrize(
    ("code", "left", "exhausted", "words"),
    [
        (75, 2521, True, "2,521 records are left"),
        (75, 1, True, "1 record is left"),
        (75, 0, False, "the input was not read to its end"),
        (75, 7, False, "7 records are left, and the input was not read to its end"),
        (4, 0, True, "it ended with exit code 4"),
        (0, 3, True, "3 records are left"),
    ],
)
def test_a_batch_whose_last_execution_ended_early_is_not_finished(
    code: int, left: int, exhausted: bool, words: str
) -> None:
    ended = report(code, left=left, exhausted=exhausted)
    assert headline(ended) == f"Not finished: {words}; 479 runs of 479 records so far"
    begin = "Remove the cause, and run" if code == 4 else "Run"
    assert list(sentences(ended))[-1].startswith(
        f"{begin} the same command again, or `ingestor resume --batch default`"
    )
    assert ">not finished</p>" in as_html(ended)


def test_an_execution_that_read_no_record_before_it_stopped_is_not_finished() -> None:
    assert headline(report(75, left=3, runs=0)) == "Not finished: 3 records are left; 0 runs of 0 records so far"


@pytest.mark.parametrize("code", [0, 3])
def test_a_batch_is_complete_if_its_last_execution_left_nothing(code: int) -> None:
    assert headline(report(code)) == "Every record is a run: 479 runs"
    assert ">complete</p>" in as_html(report(code))
    assert not any("ingestor resume" in it for it in sentences(report(code)))


def test_a_killed_batch_of_one_record_is_told_in_the_singular_with_what_to_do() -> None:
    killed = report(None, life=Life.KILLED, runs=1)
    assert headline(killed) == "Killed before its end: 1 run of 1 record so far"
    assert "`ingestor resume --batch default`" in list(sentences(killed))[-1]
    assert ">not finished</p>" in as_html(killed)


def test_a_batch_of_which_no_end_is_known_is_not_said_to_be_complete() -> None:
    assert headline(report(None, life=Life.UNKNOWN)) == "479 of 479 records are runs"
