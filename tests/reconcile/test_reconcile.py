"""`ingestor reconcile` as its users have it, against the simulator behind a proxy that loses answers."""

import json
import signal
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle

import pytest

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Ended, Program
from tests.support.proxy import Lose, Loss, Proxy

COUNT = 30
DAY = 86_400
WANTED: list[Document] = [
    {"job_id": f"job {number}", "experiment_id": str(number % 3 + 1), "run_name": f"run {number}"}
    for number in range(COUNT)
]
LOST_ANSWERS = {f"run {number}" for number in range(0, COUNT, 3)}
LOST_REQUESTS = {f"run {number}" for number in range(1, COUNT, 3)}
HASTY = ("--max-attempts", "1")


def at(url: str) -> tuple[str, ...]:
    return ("--endpoint", url, "--platform-id", PLATFORM_ID, "--workspace", WORKSPACE_KEY, "--auth", "none")


def thirds(path: str, body: bytes) -> Loss | None:
    """Lose the answer to every third record, and the request of every third."""
    if not path.endswith("runs/create"):
        return None
    name = json.loads(body)["run_name"]
    return Loss.ANSWER if name in LOST_ANSWERS else Loss.REQUEST if name in LOST_REQUESTS else None


def first_of_most(losses: Iterator[Loss | None]) -> Lose:
    """Lose something of the first request of records, as `losses` says of one after the other."""
    seen: set[str] = set()

    def lose(path: str, body: bytes) -> Loss | None:
        name = json.loads(body)["run_name"] if path.endswith("runs/create") else None
        if name is None or name in seen:
            return None
        seen.add(name)
        return next(losses)

    return lose


def age(program: Program, seconds: float) -> None:
    """Make the journal's tokens older, as if time had passed."""
    with closing(sqlite3.connect(program.folder / ".ingestor" / "journal.db")) as journal, journal:
        journal.execute("UPDATE job SET first_sent_at = first_sent_at - ?", (seconds,))


async def reconcile(program: Program, *words: str) -> Ended:
    return await program.run("reconcile", "--output", "json", *words)


def counts(ended: Ended) -> tuple[int, int, int]:
    found = ended.summary["counts"]
    return found["created"], found["not_created"], found["unresolved"]


def assert_each_is_one_run(program: Program, simulator: Simulator) -> None:
    runs = {str(run["run_id"]): run["run_name"] for run in simulator.statistics.runs()}
    assert Counter(runs.values()) == Counter(record["run_name"] for record in WANTED)
    rows = program.rows()
    assert {row["outcome"] for row in rows} == {"created"}
    assert {row["job_id"].replace("job", "run"): row["run_id"] for row in rows} == {
        name: run_id for run_id, name in runs.items()
    }


async def test_created_runs_are_found_and_the_rest_waits_for_the_next_run_while_tokens_live(
    program: Program,
) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator() as simulator, Proxy(simulator.url, thirds) as proxy:
        assert (await program.ingest(*at(proxy.url), *HASTY, source)).code == 3

        ended = await reconcile(program, *at(proxy.url))

        assert (ended.code, counts(ended)) == (3, (10, 0, 10)), ended.stdout
        rows = program.rows("unresolved")
        assert {row["error_message"] for row in rows} == {
            "no run carries its token so far: the next run sends it again under the same token"
        }
        found = [event for event in program.events() if event["event"] == "run.created"][-10:]
        assert {event["job_id"].replace("job", "run") for event in found} == LOST_ANSWERS
        assert {event["run_id"] for event in found} <= {run["run_id"] for run in simulator.statistics.runs()}

        assert (await program.ingest(*at(simulator.url), source)).code == 0
        assert_each_is_one_run(program, simulator)
        ended = await reconcile(program, *at(proxy.url))
        assert (ended.code, counts(ended), ended.summary["next"]) == (0, (0, 0, 0), ["Nothing was unresolved."])


async def test_after_a_day_a_job_without_a_run_is_created_under_a_new_token(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator(SimulatorOptions(token_life=0.0)) as simulator, Proxy(simulator.url, thirds) as proxy:
        await program.ingest(*at(proxy.url), *HASTY, source)
        age(program, 1.1 * DAY)
        again = await program.ingest(*at(simulator.url), source)
        assert again.summary["counts"]["unresolved"] == 20

        ended = await reconcile(program, *at(proxy.url), "--timeout", "1")

        assert (ended.code, counts(ended)) == (0, (10, 10, 0)), ended.stdout
        before = {row["retry_token"] for row in program.rows("failed")}
        assert len(before) == 10
        assert (await program.ingest(*at(simulator.url), source)).code == 0
        assert_each_is_one_run(program, simulator)
        assert before <= {str(run["token"]) for run in simulator.statistics.runs()}


async def test_the_jobs_of_a_killed_run_are_settled(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator(SimulatorOptions(latency=600.0)) as simulator:
        running = await program.start("run", *at(simulator.url), source)
        await running.until(lambda: simulator.statistics.run_count >= 3)
        await running.die()
        made = simulator.statistics.run_count
        assert program.counts()["created"] == 0

        simulator.set_latency(0.0)
        ended = await reconcile(program, *at(simulator.url))

        assert counts(ended)[:2] == (made, 0)
        assert program.counts()["pending"] == 0
        assert (await program.ingest(*at(simulator.url), source)).code == 0
        assert_each_is_one_run(program, simulator)


async def test_wrong_credentials_halt_it_and_change_nothing(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator() as simulator, Proxy(simulator.url, thirds) as proxy:
        await program.ingest(*at(proxy.url), *HASTY, source)
    before = program.rows()
    async with Simulator(SimulatorOptions(bearer_token="right")) as simulator:
        ended = await reconcile(program, *at(simulator.url))
    assert ended.code == 4
    assert "401 NotAuthenticated" in ended.summary["halted"]["reason"]
    assert simulator.statistics.requests < 12
    assert program.rows() == before


async def test_every_batch_of_the_target_is_reconciled_or_the_one_that_is_named(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator() as simulator, Proxy(simulator.url, thirds) as proxy:
        for batch in ("a", "b"):
            await program.ingest(*at(proxy.url), *HASTY, "--batch", batch, source)

        one = await reconcile(program, *at(proxy.url), "--batch", "b")
        both = await reconcile(program, *at(proxy.url))

    assert (one.summary["batches"], counts(one)) == (["b"], (10, 0, 10))
    assert (both.summary["batches"], counts(both)) == (["a", "b"], (10, 0, 20))
    none = await reconcile(program, *at(simulator.url), "--batch", "c")
    assert (none.code, "has no such batch; it has a, b." in none.stderr) == (2, True)


async def test_a_job_without_a_stamp_stays_unresolved_and_the_message_says_why(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator() as simulator, Proxy(simulator.url, thirds) as proxy:
        await program.ingest(*at(proxy.url), *HASTY, "--no-stamp", source)
        ended = await program.run("reconcile", *at(proxy.url))
    assert ended.code == 3
    assert "  unresolved           20" in ended.stdout
    rows = program.rows("unresolved")
    assert all("--no-stamp" in row["error_message"] for row in rows)


async def test_the_first_signal_stops_it_and_the_next_reconcile_continues(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator() as simulator, Proxy(simulator.url, thirds) as proxy:
        await program.ingest(*at(proxy.url), *HASTY, source)
        before = simulator.statistics.requests
        running = await program.start("reconcile", *at(proxy.url), "--output", "json", "--rate", "3")
        await running.until(lambda: simulator.statistics.requests > before + 1)
        running.send(signal.SIGTERM)
        ended = await running.end()
        assert ended.code == 75
        assert ended.summary["left"] > 0
        ended = await reconcile(program, *at(proxy.url))
        assert ended.code == 3
    assert program.counts()["created"] == 20


async def test_the_time_budget_stops_it(program: Program) -> None:
    source = program.write("runs.jsonl", WANTED)
    async with Simulator() as simulator, Proxy(simulator.url, thirds) as proxy:
        await program.ingest(*at(proxy.url), *HASTY, source)
        ended = await reconcile(program, *at(proxy.url), "--rate", "3", "--time-budget", "1")
        assert ended.code == 75
        assert ended.summary["left"] > 0
        assert (await reconcile(program, *at(proxy.url))).code == 3
    assert program.counts()["created"] == 20


async def test_without_a_journal_there_is_nothing_to_reconcile(program: Program) -> None:
    ended = await program.run("reconcile", "--tracking-uri", "http://127.0.0.1:9")
    assert ended.code == 2
    assert "There is no journal" in ended.stderr


async def test_a_service_declared_to_have_no_tokens_gets_every_record_once(program: Program) -> None:
    """First requests are lost: before they arrive, after, or they arrive a moment after the connection broke."""
    source = program.write("runs.jsonl", WANTED)
    lose = first_of_most(cycle([None, *Loss]))
    async with (
        Simulator(SimulatorOptions(retry_tokens=False)) as simulator,
        Proxy(simulator.url, lose) as proxy,
    ):
        ended = await program.ingest(*at(proxy.url), "--no-retry-tokens", source)
        assert ended.code == 0, ended.stdout
        assert proxy.lost == sum(number % 4 > 0 for number in range(COUNT))
        assert_each_is_one_run(program, simulator)


@pytest.mark.parametrize("then", ["run", "reconcile"])
async def test_without_tokens_the_jobs_of_a_killed_run_are_looked_up_by_the_next_command(
    program: Program, then: str
) -> None:
    source = program.write("runs.jsonl", WANTED)
    flags = ("--no-retry-tokens", "--timeout", "1")
    async with (
        Simulator(SimulatorOptions(retry_tokens=False)) as simulator,
        Proxy(simulator.url, thirds) as proxy,
    ):
        running = await program.start("run", *at(proxy.url), *flags, source)
        await running.until(lambda: proxy.lost == 20)
        await running.die()
        if then == "reconcile":
            ended = await reconcile(program, *at(simulator.url), *flags)
            assert (ended.code, counts(ended)[2]) == (0, 0)
        ended = await program.ingest(*at(simulator.url), *flags, source)
        assert ended.code == 0, ended.stdout
        assert_each_is_one_run(program, simulator)
