"""Who a job is."""

import json

from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.record import Line, Origin, RunDetails
from ingestor.policy.identity import STAMP, Scope, canonical_body, make_job, retry_token, stamped_body

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
DETAILS = st.builds(
    RunDetails,
    experiment_id=st.none() | TEXT,
    run_name=st.none() | TEXT,
    start_time=st.none() | st.integers(0, 2**63 - 1),
    tags=st.dictionaries(TEXT, TEXT).map(lambda tags: tuple(tags.items())),
)
SCOPE = Scope("ocid1.platform", "workspace", "default")
LINE = Line(Origin("-", 1), b"{}")


def body_of(details: RunDetails) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(canonical_body(details))
    return decoded


@given(DETAILS)
def test_a_body_says_what_the_record_says_and_no_more(details: RunDetails) -> None:
    expected: dict[str, object] = {
        "experiment_id": details.experiment_id,
        "run_name": details.run_name,
        "start_time": details.start_time,
    }
    expected = {name: value for name, value in expected.items() if value is not None}
    expected["tags"] = [{"key": key, "value": value} for key, value in sorted(details.tags)]
    assert body_of(details) == expected


@given(DETAILS)
def test_the_bytes_of_a_body_are_frozen(details: RunDetails) -> None:
    """They are what Python's own encoder makes, whichever one is at work: a changed byte would be another body."""
    plain = json.dumps(body_of(details), ensure_ascii=False, separators=(",", ":"))
    assert canonical_body(details) == plain.encode()


@given(DETAILS)
def test_the_order_of_tags_makes_no_difference(details: RunDetails) -> None:
    turned = RunDetails(details.experiment_id, details.run_name, details.start_time, details.tags[::-1])
    assert canonical_body(turned) == canonical_body(details)


@given(DETAILS)
def test_a_stamped_body_is_the_body_with_one_more_tag(details: RunDetails) -> None:
    stamped = json.loads(stamped_body(canonical_body(details), "abc"))
    tags = stamped.pop("tags")
    plain = body_of(details)
    assert tags == [*plain.pop("tags"), {"key": STAMP, "value": "abc"}]  # type: ignore[misc]
    assert stamped == plain


def test_the_token_of_a_key_is_frozen() -> None:
    """A changed derivation would make every finished job of every user look new."""
    assert retry_token(SCOPE, "job-1") == "1d4aacfaf2a0663052ba52d7a9b411065206cd2c22e9268ee32b47e60c80285a"
    assert (
        retry_token(SCOPE, "job-1", generation=1) == "49d15a00dc852562c5db9219b1a76952a98223ab561563dbe19e95d72b4febd6"
    )


@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=2, max_size=2, unique=True))
def test_different_identities_have_different_tokens(identities: list[tuple[str, str, str, str]]) -> None:
    tokens = {retry_token(Scope(platform, workspace, batch), key) for platform, workspace, batch, key in identities}
    assert len(tokens) == 2


@given(TEXT, st.integers(0, 1000))
def test_a_token_is_one_that_the_api_takes(key: str, generation: int) -> None:
    token = retry_token(SCOPE, key, generation)
    assert 1 <= len(token) <= 64
    assert token.isascii()
    assert token.isalnum()


def test_generations_of_a_token_differ() -> None:
    assert len({retry_token(SCOPE, "job-1", generation) for generation in range(10)}) == 10


def test_a_record_without_a_job_id_is_known_by_its_body() -> None:
    details = RunDetails(run_name="a")
    first, again = make_job(LINE, None, details, SCOPE), make_job(LINE, None, details, SCOPE)
    other = make_job(LINE, None, RunDetails(run_name="b"), SCOPE)
    assert first.key == again.key == f"sha256:{first.digest.hex()}"
    assert other.key != first.key


def test_a_job_id_is_the_key_whatever_the_body_says() -> None:
    jobs = [make_job(LINE, "a", RunDetails(run_name=name), SCOPE) for name in ("x", "y")]
    assert {job.key for job in jobs} == {"a"}
    assert len({job.token for job in jobs}) == 1
    assert len({job.digest for job in jobs}) == 2
