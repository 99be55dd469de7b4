"""How a batch sends: what its service, its pacer and its pipeline make of the options."""

from math import inf

import pytest

from ingestor.app.options import BatchOptions, Concurrency
from ingestor.app.sending import Sending
from ingestor.app.target import Target, aidp, mlflow
from tests.support.memory import RecordingSink

AIDP = aidp(platform_id="ocid1.x", workspace="ws", endpoint="http://127.0.0.1:1", auth="none")
SERVER = mlflow("http://127.0.0.1:1")


def sending(target: Target = AIDP, **options: object) -> Sending:
    return Sending(target, BatchOptions(senders=0, **options))  # type: ignore[arg-type]


@pytest.mark.parametrize(("concurrency", "first", "most"), [("auto", 64, 1024), (200, 200, 200), (8, 8, 8)])
async def test_auto_begins_with_64_requests_in_flight_and_a_number_is_a_fixed_bound(
    concurrency: Concurrency, first: int, most: int
) -> None:
    made = sending(concurrency=concurrency)
    assert made.pacer(RecordingSink()).size == first
    assert made.pipeline_options().concurrency == most
    assert made.pipeline_options().look_ahead == 16 * first


def test_auto_is_the_default() -> None:
    assert BatchOptions().concurrency == "auto"


@pytest.mark.parametrize(
    ("target", "retry_tokens", "outside"),
    [(AIDP, None, 0), (AIDP, False, 1024), (SERVER, None, 1024), (SERVER, True, 0)],
)
def test_requests_wait_outside_the_slots_only_where_no_token_protects(
    target: Target, retry_tokens: bool | None, outside: int
) -> None:
    made = sending(target, retry_tokens=retry_tokens)
    assert made.pipeline_options().most_outside == outside
    assert made.bounds.all == 1024 + outside


def test_the_longest_time_of_a_request_is_the_timeout() -> None:
    assert sending(timeout=7.0).pipeline_options().timeout == 7.0


@pytest.mark.parametrize(
    ("given", "seconds", "waits"),
    [
        ({}, 3600.0, False),
        ({"follow": True}, inf, True),
        ({"follow": True, "give_up_after": 60.0}, 60.0, True),
        ({"give_up_after": 0.0}, 0.0, False),
    ],
)
def test_while_following_a_service_is_waited_for_from_the_start_and_never_given_up_unless_that_is_asked_for(
    given: dict[str, object], seconds: float, waits: bool
) -> None:
    options = sending(AIDP, **given).pipeline_options()
    assert (options.give_up_after, options.wait_for_service) == (seconds, waits)
