"""A real MLflow server, which honours no retry tokens, behind a proxy that loses answers: every record is one run."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import cycle
from pathlib import Path

import pytest

from ingestor.policy.identity import STAMP
from tests.e2e.program import Document, Program
from tests.mlflow.test_migration import client_of
from tests.support.proxy import Loss, Proxy

pytestmark = pytest.mark.timeout(600)  # the server is slow to start

COUNT = 40


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    program = Program(tmp_path)
    yield program
    await program.close()


@pytest.fixture
def experiment(tracking_uri: str, request: pytest.FixtureRequest) -> str:
    name = f"of {request.node.name}"
    return str(client_of(tracking_uri).create_experiment(name))


def sample(experiment: str) -> list[Document]:
    return [{"job_id": f"job {n}", "experiment_id": experiment, "run_name": f"run {n}"} for n in range(COUNT)]


class FirstOfMost:
    """Loses something of the first request for most records."""

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._losses: Iterator[Loss | None] = cycle([None, *Loss])

    def __call__(self, path: str, body: bytes) -> Loss | None:
        name = str(json.loads(body)["run_name"]) if path.endswith("runs/create") else None
        if name is None or name in self._seen:
            return None
        self._seen.add(name)
        return next(self._losses)


def runs_there(tracking_uri: str, experiment: str) -> dict[str, str]:
    """Return the names of the experiment's runs by their ids."""
    found = client_of(tracking_uri).search_runs([experiment], max_results=1000)
    assert all(STAMP in run.data.tags for run in found)
    return {run.info.run_id: run.info.run_name for run in found}


def assert_each_is_one_run(program: Program, runs: dict[str, str]) -> None:
    assert Counter(runs.values()) == Counter(f"run {number}" for number in range(COUNT))
    rows = program.rows()
    assert {row["outcome"] for row in rows} == {"created"}
    assert {row["run_id"]: row["job_id"].replace("job", "run") for row in rows} == runs


async def test_with_lost_answers_every_record_is_one_run(program: Program, tracking_uri: str, experiment: str) -> None:
    source = program.write("runs.jsonl", sample(experiment))
    async with Proxy(tracking_uri, FirstOfMost()) as proxy:
        ended = await program.ingest("--tracking-uri", proxy.url, "--concurrency", "8", source)
        assert ended.code == 0, ended.stdout
        assert proxy.lost == COUNT * 3 // 4
    assert_each_is_one_run(program, runs_there(tracking_uri, experiment))


async def test_the_jobs_of_a_killed_run_are_reconciled_and_the_next_run_creates_the_rest(
    program: Program, tracking_uri: str, experiment: str
) -> None:
    source = program.write("runs.jsonl", sample(experiment))
    async with Proxy(tracking_uri, FirstOfMost()) as proxy:
        flags = ("--tracking-uri", proxy.url, "--timeout", "5")
        running = await program.start("run", *flags, "--concurrency", "8", source)
        await running.until(lambda: proxy.lost >= COUNT // 2)
        await running.die()
        left = program.counts()
        assert left["pending"] >= COUNT // 2

        ended = await program.run("reconcile", "--output", "json", *flags)

        assert ended.code == 0, ended.stdout
        counts = ended.summary["counts"]
        assert counts["created"] >= COUNT // 4
        assert counts["created"] + counts["not_created"] == left["pending"]
        assert (await program.ingest(*flags, source)).code == 0
    assert_each_is_one_run(program, runs_there(tracking_uri, experiment))


async def test_a_run_that_was_deleted_later_counts_as_created(
    program: Program, tracking_uri: str, experiment: str
) -> None:
    (record, *_) = sample(experiment)
    source = program.write("runs.jsonl", [record])
    async with Proxy(tracking_uri, lambda path, body: Loss.ANSWER if path.endswith("create") else None) as proxy:
        running = await program.start("run", "--tracking-uri", proxy.url, source)
        await running.until(lambda: proxy.lost == 1)
        await running.die()
        ((run_id, _),) = runs_there(tracking_uri, experiment).items()
        client_of(tracking_uri).delete_run(run_id)
        ended = await program.run("reconcile", "--output", "json", "--tracking-uri", proxy.url)
    assert ended.code == 0, ended.stdout
    assert [row["run_id"] for row in program.rows()] == [run_id]
