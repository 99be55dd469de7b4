"""The requests of a job."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.request import Operation, Step
from ingestor.policy.identity import stamped_body
from ingestor.policy.plan import create_request, step_request
from tests.support.records import job

STEPS = (
    Step(Operation.LOG_BATCH, b'"metrics":[{"key":"loss","value":0.5,"timestamp":1,"step":0}]'),
    Step(Operation.LOG_BATCH, b'"params":[{"key":"lr","value":"0.1"}]'),
    Step(Operation.UPDATE_RUN, b'"status":"FINISHED","end_time":2'),
    Step(Operation.DELETE_RUN),
)
JOB = replace(job(1), steps=STEPS)


def test_create_carries_the_body_and_the_token_of_the_job_and_can_not_be_repeated() -> None:
    request = create_request(JOB, stamped=False)
    assert request.operation == Operation.CREATE_RUN
    assert (request.body, request.token, request.is_repeatable) == (JOB.body, JOB.token, False)


def test_a_stamped_create_carries_its_token_as_a_tag() -> None:
    assert create_request(JOB, stamped=True).body == stamped_body(JOB.body, JOB.token)


def test_a_step_is_the_run_id_and_its_members_and_can_be_repeated() -> None:
    request = step_request(JOB, 2, "run-1")
    assert request.operation == Operation.UPDATE_RUN
    assert request.body == b'{"run_id":"run-1","status":"FINISHED","end_time":2}'
    assert request.is_repeatable


def test_a_step_without_members_is_the_run_id_alone() -> None:
    assert step_request(JOB, 3, "run-1").body == b'{"run_id":"run-1"}'


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_run_id_makes_valid_json(run_id: str) -> None:
    assert json.loads(step_request(JOB, 0, run_id).body)["run_id"] == run_id


def test_every_request_of_a_plan_has_a_token_of_its_own_that_is_the_same_in_every_process() -> None:
    tokens = [create_request(JOB, stamped=True).token]
    tokens += [step_request(JOB, index, "run-1").token for index in range(len(STEPS))]
    assert len(set(tokens)) == len(tokens)
    assert (
        tokens[1]
        == step_request(JOB, 0, "run-1").token
        == ("7ee43e15372db7a04c3f543bc2fbc7cc96e133841d749832974c3e5aa1b9daf9")
    )


def test_equal_steps_of_one_plan_have_different_tokens() -> None:
    twice = replace(JOB, steps=(STEPS[0], STEPS[0]))
    assert step_request(twice, 0, "run-1").token != step_request(twice, 1, "run-1").token


def test_no_token_is_ever_sent_with_another_body() -> None:
    """What a service does then is not documented. Another version of the program may divide a plan differently."""
    divided = replace(JOB, steps=(STEPS[1], *STEPS[1:]))
    assert step_request(divided, 0, "run-1").token != step_request(JOB, 0, "run-1").token
    assert step_request(JOB, 0, "run-2").token != step_request(JOB, 0, "run-1").token
