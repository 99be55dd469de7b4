import time
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.journal.failures import failures, find_job
from ingestor.model.ports import Changes
from ingestor.model.record import State
from tests.journal.big import add_rows, query
from tests.journal.support import ManualClock, created, failed, opened, unresolved
from tests.support.records import SCOPE, job, jobs


async def test_failures_with_one_reason_are_one_group_with_the_last_one_as_an_example(tmp_path: Path) -> None:
    clock = ManualClock()
    async with opened(tmp_path, clock) as journal:
        await journal.admit(jobs(6), stamped=True)
        first = clock.time
        refusals = [replace(failed(job(it)), error_message=f"There is no experiment {it}.") for it in (1, 2)]
        await journal.commit(Changes([*refusals, unresolved(job(3)), created(job(4))]))
        clock.work(60)
        last = replace(failed(job(5)), error_message="There is no experiment 5.", opc_request_id="the last one")
        await journal.commit(Changes([last]))
    found = failures(tmp_path, SCOPE)
    assert found.others == 0
    refused, lost = found.groups
    assert (refused.state, refused.count, refused.http_status, refused.error_code) == (
        State.FAILED,
        3,
        400,
        "InvalidParameter",
    )
    assert (refused.message, refused.varies) == ("There is no experiment 5.", True)
    assert (refused.first_at, refused.last_at) == (first, first + 60)
    assert (refused.job_id, refused.source, refused.line, refused.opc_request_id) == (
        "job-5",
        "runs.jsonl",
        5,
        "the last one",
    )
    assert (lost.state, lost.count, lost.message, lost.varies) == (State.UNRESOLVED, 1, "no answer", False)


def test_of_too_many_failures_the_last_ones_are_grouped_and_the_others_are_counted(tmp_path: Path) -> None:
    add_rows(tmp_path, 300, job_state="failed", at=1.0)
    add_rows(tmp_path, 50, job_state="failed", at=2.0)
    found = failures(tmp_path, SCOPE, scanned=100)
    (group,) = found.groups
    assert (group.count, group.first_at, group.last_at, group.job_id) == (100, 1.0, 2.0, "job-350")
    assert found.others == 250
    assert failures(tmp_path, SCOPE, limit=0).others == 350


def test_where_few_of_many_failed_every_question_is_quick(tmp_path: Path) -> None:
    add_rows(tmp_path, 200_000)
    add_rows(tmp_path, 20, job_state="failed")
    add_rows(tmp_path, 1000, merged=False)
    began = time.process_time()
    (group,) = failures(tmp_path, SCOPE).groups
    found = [find_job(tmp_path, SCOPE, f"job-{number}") for number in (7, 200_007, 200_500, 999_999)]
    took = time.process_time() - began
    assert group.count == 20
    assert [it and it.outcome for it in found] == [State.CREATED, State.FAILED, State.CREATED, None]
    read_all = time.process_time()
    query(tmp_path, "SELECT sum(length(run_id || opc_request_id)) FROM job")
    read_all = time.process_time() - read_all
    assert took < read_all, "as slow as reading every row"


@pytest.mark.parametrize("merged", [True, False], ids=["in the index", "not in the index yet"])
def test_a_job_is_found_in_its_own_batch_alone(tmp_path: Path, merged: bool) -> None:
    other = replace(SCOPE, batch="other")
    add_rows(tmp_path, 5, merged=merged)
    (number,) = add_rows(tmp_path, 1, scope=other, merged=merged)
    found = find_job(tmp_path, other, f"job-{number}")
    assert found is not None
    assert (found.run_id, found.line, found.opc_request_id) == (f"run-{number}", number, f"request-{number}")
    assert find_job(tmp_path, other, "job-1") is None
    assert find_job(tmp_path, SCOPE, f"job-{number}") is None
    assert find_job(tmp_path, replace(SCOPE, batch="unknown"), "job-1") is None
