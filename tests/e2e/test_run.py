import asyncio
import csv
import gzip
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

import pytest
from backports import zstd

from ingestor.policy.identity import STAMP
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Ended, Program, aim, parse_lines, to_lines
from tests.e2e.proof import assert_each_is_one_run, counted, runs_of, states

FIX = """
import json, sys
for line in open(sys.argv[1], encoding="utf-8"):
    print(json.loads(line)["record"].replace("learning_rate", "run_name"))
"""
"""What `jq -r .record FILE | sed s/learning_rate/run_name/` does."""


async def test_every_record_becomes_one_run_and_log_results_and_summary_agree(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(250))
    source = program.write("runs.jsonl", wanted)

    ended = await program.ingest(*aim(simulator), source)

    assert ended.code == 0, ended.stderr
    listed, table, status = [
        (await program.run(*command)).stdout
        for command in (("results",), ("results", "--format", "csv"), ("status", "--output", "json"))
    ]
    rows = parse_lines(listed)
    assert rows == program.rows()
    assert_each_is_one_run(simulator, wanted, rows)
    assert_the_log_agrees(program.events(), rows)
    text = [{key: "" if value is None else str(value) for key, value in row.items()} for row in rows]
    assert list(csv.DictReader(table.splitlines())) == text
    (batch,) = json.loads(status)["batches"]
    assert batch["counts"] == program.counts() == states(created=250)
    assert ended.summary["counts"] == counted(created=250)
    assert ended.summary["attempts"] == simulator.statistics.requests == 250
    assert [ended.summary["left"], ended.summary["halted"], ended.summary["next"]] == [
        0,
        None,
        ["Every record is a run."],
    ]


def assert_the_log_agrees(events: Sequence[Document], rows: Sequence[Document]) -> None:
    keys = ("job_id", "run_id", "retry_token", "opc_request_id", "source", "line", "experiment_id", "attempts")
    created = [event for event in events if event["event"] == "run.created"]
    assert sorted([event[key] for key in keys] for event in created) == sorted([r[key] for key in keys] for r in rows)
    assert all(event["opc_request_id"].startswith(event["opc_client_request_id"] + "/") for event in created)
    names = [event["event"] for event in events]
    assert (names[0], names[-1]) == ("batch.started", "batch.finished")


async def test_a_second_run_creates_nothing_and_counts_what_is_done(program: Program, simulator: Simulator) -> None:
    source = program.write("runs.jsonl", records(30))
    await program.run("run", *aim(simulator), source)
    first = program.rows()
    sent = simulator.statistics.requests

    ended = await program.run("run", *aim(simulator), source)

    assert ended.code == 0
    assert [line.split() for line in ended.stdout.splitlines() if "already" in line] == [["already", "done", "30"]]
    assert simulator.statistics.requests == sent
    assert program.events("run.duplicate") == []
    finished = program.events("batch.finished")[-1]
    assert (finished["already_done"], finished["counts"]) == (30, counted(already_done=30))
    assert program.rows() == first


async def test_a_run_after_an_incomplete_one_does_the_rest(program: Program, simulator: Simulator) -> None:
    wanted = list(records(60))
    source = program.write("runs.jsonl", wanted)
    await program.ingest(*aim(simulator), "-", stdin=to_lines(wanted[:25]))

    ended = await program.ingest(*aim(simulator), source)

    assert ended.code == 0
    assert ended.summary["counts"] == counted(created=35, already_done=25)
    assert_each_is_one_run(simulator, wanted, program.rows())


@pytest.mark.parametrize(
    ("sources", "files"),
    [
        (["-"], {}),
        (["runs.jsonl.gz"], {"runs.jsonl.gz": gzip.compress}),
        (["runs.jsonl.zst"], {"runs.jsonl.zst": zstd.compress}),
        (["runs"], {"runs/a.jsonl": bytes, "runs/deep/b.ndjson.gz": gzip.compress}),
        (["runs/*.json*"], {"runs/a.jsonl": bytes, "runs/b.json": bytes}),
    ],
    ids=["standard input", "gzip", "zstandard", "a directory", "a glob"],
)
async def test_records_come_from(
    program: Program, simulator: Simulator, sources: list[str], files: dict[str, Callable[[bytes], bytes]]
) -> None:
    wanted = list(records(20))
    for number, (name, pack) in enumerate(files.items()):
        program.write(name, pack(to_lines(wanted[number :: len(files)])))

    ended = await program.ingest(*aim(simulator), *sources, stdin=b"" if files else to_lines(wanted))

    assert ended.code == 0, ended.stderr
    assert_each_is_one_run(simulator, wanted, program.rows())


async def test_a_key_that_was_used_with_another_body_is_rejected_and_not_sent(
    program: Program, simulator: Simulator
) -> None:
    first, second = ({"job_id": "one", "run_name": name} for name in ("first", "second"))
    await program.ingest(*aim(simulator), stdin=to_lines([first]))

    ended = await program.ingest(*aim(simulator), stdin=to_lines([second]))

    assert ended.code == 3
    assert ended.summary["counts"] == counted(rejected=1)
    assert "with other content" in program.rejects()[0]["reason"]
    assert_each_is_one_run(simulator, [first], program.rows())


async def test_fixed_rejects_fed_back_through_a_pipe_complete_the_batch(program: Program, simulator: Simulator) -> None:
    wanted = [{"job_id": str(number), "run_name": f"run {number}"} for number in range(20)]
    broken = to_lines(wanted[:5]).replace(b"run_name", b"learning_rate")
    source = program.write("runs.jsonl", broken + to_lines(wanted[5:]))
    ended = await program.ingest(*aim(simulator), source)
    assert (ended.code, ended.summary["counts"]) == (3, counted(created=15, rejected=5))

    ended = await feed_back(program, *aim(simulator))

    assert (ended.code, ended.summary["counts"]) == (0, counted(created=5))
    assert_each_is_one_run(simulator, wanted, program.rows())


async def feed_back(program: Program, *target: str) -> Ended:
    """Do `fix rejects.jsonl | ingestor run -`, as a shell does it."""
    reading, writing = os.pipe()
    fix = [sys.executable, "-c", FIX, str(program.folder / ".ingestor/rejects.jsonl")]
    fixing = await asyncio.create_subprocess_exec(*fix, stdout=writing)
    os.close(writing)
    running = await program.start("run", "--output", "json", *target, "-", stdin=reading)
    os.close(reading)
    ended = await running.end()
    assert await fixing.wait() == 0
    return ended


async def test_two_batches_of_the_same_records_are_two_sets_of_runs(program: Program, simulator: Simulator) -> None:
    source = program.write("runs.jsonl", records(10))
    for name in ("monday", "tuesday"):
        ended = await program.ingest(*aim(simulator), "--batch", name, source)
        assert ended.summary["counts"] == counted(created=10)

    monday, tuesday = [(await program.run("results", "--batch", name)).lines for name in ("monday", "tuesday")]
    assert [row["job_id"] for row in monday] == [row["job_id"] for row in tuesday]
    assert {row["run_id"] for row in monday + tuesday} == runs_of(simulator).keys()
    assert simulator.statistics.run_count == 20

    unknown = await program.run("results", "--batch", "wednesday")
    assert (unknown.code, unknown.stdout) == (2, "")
    assert "has no such batch; it has monday, tuesday." in unknown.stderr


async def test_a_log_on_standard_output_is_alone_there(program: Program, simulator: Simulator) -> None:
    ended = await program.run("run", *aim(simulator), "--log", "-", stdin=to_lines(records(10)))

    events = [line["event"] for line in ended.lines]
    assert (events.count("run.created"), events[-1]) == (10, "batch.finished")
    assert "Every record is a run." in ended.stderr
    assert not (program.folder / ".ingestor/log.jsonl").exists()


async def test_every_run_has_its_token_as_a_tag_unless_that_is_switched_off(
    program: Program, simulator: Simulator
) -> None:
    await program.ingest(*aim(simulator), stdin=b'{"job_id": "stamped"}')
    await program.ingest(*aim(simulator), "--no-stamp", stdin=b'{"job_id": "plain"}')

    stamped, plain = program.rows()
    runs = runs_of(simulator)
    assert runs[stamped["run_id"]]["tags"] == [{"key": STAMP, "value": stamped["retry_token"]}]
    assert runs[plain["run_id"]]["tags"] == []


async def test_the_rate_is_never_above_its_ceiling(program: Program, simulator: Simulator) -> None:
    ended = await program.ingest(*aim(simulator), "--rate", "40", stdin=to_lines(records(60)))

    assert ended.code == 0
    began = datetime.fromisoformat(program.events()[0]["timestamp"]).timestamp()
    assert simulator.statistics._store.runs[-1].created_at - began >= 0.9 * 59 / 40


async def test_a_flag_overrides_the_environment_which_overrides_the_file(
    program: Program, simulator: Simulator
) -> None:
    target = {"endpoint": simulator.url, "platform_id": PLATFORM_ID, "workspace": WORKSPACE_KEY}
    settings = target | {"auth": "none", "batch": "by file"}
    file = program.write("ingestor.toml", "".join(f'{name} = "{value}"\n' for name, value in settings.items()).encode())
    command, record = ("run", "--config", file), b'{"run_name": "one"}'
    environment = {"INGESTOR_BATCH": "by environment"}
    ended = [
        await program.run(*command, stdin=record),
        await program.run(*command, stdin=record, env=environment),
        await program.run(*command, "--batch", "by flag", stdin=record, env=environment),
    ]

    assert [one.code for one in ended] == [0, 0, 0]
    assert [row["batch"] for row in program.rows()] == ["by file", "by environment", "by flag"]
    assert simulator.statistics.run_count == 3


async def test_only_the_owner_can_read_the_state_directory(program: Program, simulator: Simulator) -> None:
    await program.ingest(*aim(simulator), stdin=b"{}\n[]\n")

    state = program.folder / ".ingestor"
    modes = {path: path.stat().st_mode & 0o777 for path in (state, *state.rglob("*"))}
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes}
    assert {"journal.db", "log.jsonl", "rejects.jsonl"} <= {path.name for path in modes}
