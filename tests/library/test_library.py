"""The other functions of the library, and its face."""

from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import get_type_hints

import pytest

import ingestor
from ingestor.api.values import AuthKind
from ingestor.app.library import MOST_REJECTS, Options
from ingestor.app.options import COMMAND_LINE_ONLY, BatchOptions
from ingestor.testing import PLATFORM_ID, WORKSPACE_KEY, Simulator
from tests.support.proxy import Loss, Proxy


def test_every_name_of_the_face_is_there() -> None:
    for name in ingestor.__all__:
        assert getattr(ingestor, name).__doc__, name
    assert set(ingestor.__all__) <= set(dir(ingestor))
    with pytest.raises(AttributeError, match="no attribute 'injest'"):
        ingestor.injest  # noqa: B018 - the access is the test


def test_the_options_are_those_of_a_batch() -> None:
    own = {"batch", "state", *COMMAND_LINE_ONLY}
    assert set(get_type_hints(Options)) == {field.name for field in fields(BatchOptions)} - own


def test_check_counts_and_explains(tmp_path: Path) -> None:
    report = ingestor.check([{"run_name": "good"}, {"run_name": 1}, '{"run_name": "good"}', "nope"])
    assert (report.valid, report.invalid) == (2, 2)
    assert [(reject.origin.line, reject.reason.split(":")[0]) for reject in report.rejects] == [
        (2, "run_name"),
        (4, "not JSON"),
    ]
    (tmp_path / "runs.jsonl").write_text('{"run_name": "good"}\n')
    assert ingestor.check(tmp_path).valid == 1


async def test_check_works_inside_a_running_event_loop() -> None:
    async def given() -> AsyncIterator[dict[str, object]]:
        yield {"run_name": "good"}

    assert ingestor.check(given()).valid == 1


def test_check_keeps_a_bounded_number_of_rejects() -> None:
    report = ingestor.check({"run_name": number} for number in range(MOST_REJECTS + 10))
    assert (report.invalid, len(report.rejects)) == (MOST_REJECTS + 10, MOST_REJECTS)


def test_check_names_a_path_that_is_not_there() -> None:
    with pytest.raises(ingestor.UsageError, match="there is no such file"):
        ingestor.check("nowhere.jsonl")


async def test_reconcile_finds_runs_whose_answers_were_lost(state: Path) -> None:
    records = [{"job_id": str(number), "run_name": str(number)} for number in range(6)]
    async with Simulator() as simulator, Proxy(simulator.url, lose_answers) as proxy:
        target = ingestor.aidp(endpoint=proxy.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY, auth="none")
        report = await ingestor.ingest(records, target, state=state, senders=0, max_attempts=1)
        assert (report.exit_code, report.counts["unresolved"]) == (3, 6)

        report = await ingestor.reconcile(target, state=state)

    assert (report.exit_code, report.counts["created"]) == (0, 6)
    rows = list(ingestor.results(state))
    assert {row.run_id for row in rows} == {run["run_id"] for run in simulator.statistics.runs()}
    assert list(ingestor.results(state, outcome="unresolved")) == []


def lose_answers(path: str, body: bytes) -> Loss | None:
    return Loss.ANSWER if path.endswith("runs/create") else None


def test_the_twin_of_reconcile_raises_without_a_journal(state: Path, target: ingestor.Target) -> None:
    with pytest.raises(ingestor.UsageError, match="There is no journal"):
        ingestor.reconcile_sync(target, state=state)


def test_results_name_an_outcome_that_does_not_exist(state: Path) -> None:
    with pytest.raises(ingestor.UsageError, match="outcome: must be one of pending, created"):
        ingestor.results(state, outcome="lost")


async def test_a_batch_that_the_journal_does_not_know_is_named_with_those_it_knows(
    state: Path, target: ingestor.Target
) -> None:
    await ingestor.ingest([{"run_name": "a"}], target, state=state, batch="nightly", senders=0)
    words = "Batch nightyl: .* has no such batch; it has nightly"
    with pytest.raises(ingestor.UsageError, match=words):
        ingestor.results(state, batch="nightyl")
    with pytest.raises(ingestor.UsageError, match=words):
        await ingestor.reconcile(target, state=state, batch="nightyl")


async def test_the_home_directory_is_expanded_everywhere(
    tmp_path: Path, target: ingestor.Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    await ingestor.ingest([{"run_name": "a"}], target, state="~/s", senders=0)
    assert len(list(ingestor.results("~/s"))) == 1
    assert (tmp_path / "s" / "journal.db").exists()


def test_results_raise_without_a_journal(state: Path) -> None:
    with pytest.raises(ingestor.UsageError, match="There is no journal"):
        ingestor.results(state)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ingestor.aidp(platform_id="p", workspace="w"), "Give either region or endpoint."),
        (
            lambda: ingestor.aidp(platform_id="p", workspace="w", region="r", endpoint="http://h"),
            "Give either region or endpoint.",
        ),
        (
            lambda: ingestor.aidp(platform_id="a/b", workspace="w", region="r"),
            "platform_id: must not be empty or contain spaces or slashes",
        ),
        (
            lambda: ingestor.mlflow("http://user:secret@h"),
            "url: must be http(s)://host[:port][/path], without user, password, query or fragment",
        ),
        (
            lambda: ingestor.mlflow("http://h", auth="bearer"),
            "auth: bearer needs either bearer_token or bearer_token_file",
        ),
        (
            lambda: ingestor.mlflow("http://h", auth="bearer", bearer_token="two words"),
            "bearer_token: must be a token of visible ASCII characters, on one line",
        ),
        (lambda: ingestor.mlflow(None), "url: must be text, not NoneType"),  # type: ignore[arg-type]
        (lambda: ingestor.mlflow("http://h", nope="secret"), "nope: there is no such option of a target"),  # type: ignore[call-arg]
        (
            lambda: ingestor.mlflow("http://h", auth=["bearer"]),  # type: ignore[arg-type]
            f"auth: must be one of {', '.join(AuthKind)}",
        ),
        (lambda: ingestor.mlflow("http://h", oci_config=1), "oci_config: must be a path"),  # type: ignore[arg-type]
        (
            lambda: ingestor.aidp(platform_id="p", workspace=7, region="r"),  # type: ignore[arg-type]
            "workspace: must be text, not int",
        ),
    ],
)
def test_a_target_that_can_not_be_used_raises(make: object, message: str) -> None:
    assert callable(make)
    with pytest.raises(ingestor.UsageError) as caught:
        make()
    assert str(caught.value) == message
    assert "secret" not in str(caught.value)


def test_a_target_never_shows_its_secrets() -> None:
    target = ingestor.mlflow("http://h", auth="bearer", bearer_token="hunter2")
    assert "hunter2" not in repr(target)


def test_all_spellings_of_a_server_are_one_target() -> None:
    spellings = ("http://localhost:5000/", "HTTP://127.0.0.1:5000", "http://[::1]:5000/a/..")
    assert len({ingestor.mlflow(url).scope("b") for url in spellings}) == 1
