"""The identity of a job: body, key and tokens are frozen."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.record import Line, Origin, RunDetails
from ingestor.policy.identity import STAMP, Scope, canonical_body, make_job, retry_token, stamped_body, step_token

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

GOLDEN = [
    (
        RunDetails(),
        b'{"tags":[]}',
        "b35b1ec1c0c72c4bbd16bd9d6c2cbcac8224272cd7e6ecf504a78f2c7e989b2a",
        "06eff82cbfbeb3f5f9b313a9bf9de43ba75c4d67205f3dfe40e5871724620dd7",
    ),
    (
        RunDetails("12", 'run é "x"\n', 1_700_000_000_000, (("b", "2"), ("a", "\u2028/\\"))),
        (
            b'{"experiment_id":"12","run_name":"run \xc3\xa9 \\"x\\"\\n","start_time":1700000000000,'
            b'"tags":[{"key":"a","value":"\xe2\x80\xa8/\\\\"},{"key":"b","value":"2"}]}'
        ),
        "a55661665c901d3005f4746a5afb528ea8a4aaeffd240740a1c2f12cfd96f642",
        "f163083dbc041d8c6be6a42527bd82f6bfcf1bac6ef66978070893a712bc00b1",
    ),
    (
        RunDetails("1", None, 0, (("ingestor.tokenx", ""),)),
        b'{"experiment_id":"1","start_time":0,"tags":[{"key":"ingestor.tokenx","value":""}]}',
        "19b219aefdbe4fee0fa37cdcfab5f5b685b92b113d1506a9acc9904b5d134c95",
        "54d4aadb857f7deeab3ed36f079124c9d6bc5161ddbdcccd690e7d458a62b712",
    ),
]
"""Details, and the body, digest and token that the first released derivation gives."""


def body_of(details: RunDetails) -> dict[str, object]:
    decoded: dict[str, object] = json.loads(canonical_body(details))
    return decoded


@pytest.mark.parametrize(("details", "body", "digest", "token"), GOLDEN, ids=["empty", "full", "one tag"])
def test_body_key_and_token_never_change(details: RunDetails, body: bytes, digest: str, token: str) -> None:
    """A changed derivation makes every finished job of every user look new."""
    job = make_job(LINE, None, details, SCOPE)
    assert (job.body, job.digest.hex(), job.key, job.token) == (body, digest, f"sha256:{digest}", token)


def test_the_token_of_a_key_never_changes() -> None:
    assert retry_token(SCOPE, "job-1") == "1d4aacfaf2a0663052ba52d7a9b411065206cd2c22e9268ee32b47e60c80285a"
    assert (
        retry_token(SCOPE, "job-1", generation=1) == "49d15a00dc852562c5db9219b1a76952a98223ab561563dbe19e95d72b4febd6"
    )
    nightly = Scope("https://mlflow.example", "", "nightly")
    assert retry_token(nightly, "job é") == "12dec965ae7fe80b24cfdce69413ff4063ebf9d4b667189fe210c6df9da175a7"
    assert retry_token(nightly, "job é", 3) == "3b0bbfb05955373a4557d4d5a241802b5f9bf2d7affcc003973524475bf82002"


def test_a_stamped_body_never_changes() -> None:
    assert stamped_body(b'{"tags":[]}', "t") == b'{"tags":[{"key":"ingestor.token","value":"t"}]}'
    assert (
        stamped_body(b'{"start_time":0,"tags":[{"key":"a","value":"]}"}]}', "t")
        == b'{"start_time":0,"tags":[{"key":"a","value":"]}"},{"key":"ingestor.token","value":"t"}]}'
    )


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
def test_a_body_has_the_bytes_of_the_standard_encoder(details: RunDetails) -> None:
    """A change of the encoder must not change a byte: that would be another body."""
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


@given(st.lists(st.tuples(TEXT, TEXT, TEXT, TEXT), min_size=2, max_size=2, unique=True))
def test_different_identities_have_different_tokens(identities: list[tuple[str, str, str, str]]) -> None:
    tokens = {retry_token(Scope(platform, workspace, batch), key) for platform, workspace, batch, key in identities}
    assert len(tokens) == 2


@given(TEXT, st.integers(0, 1000))
def test_a_token_is_one_that_the_api_takes(key: str, generation: int) -> None:
    create = retry_token(SCOPE, key, generation)
    for token in (create, step_token(create, generation, key.encode())):
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


def test_a_job_id_is_the_key_for_every_body() -> None:
    jobs = [make_job(LINE, "a", RunDetails(run_name=name), SCOPE) for name in ("x", "y")]
    assert {job.key for job in jobs} == {"a"}
    assert len({job.token for job in jobs}) == 1
    assert len({job.digest for job in jobs}) == 2
