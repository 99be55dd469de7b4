"""`ingestor forget`: records that will never work keep no later run from its success, and can be brought back."""

import gzip
import json
import os
from collections.abc import AsyncIterator

import pytest

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim
from tests.e2e.proof import counted

BAD = b'{"job_id": "bad", "nonsense": 1}\n{"job_id": \n'


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """Two experiments of the sample records do not exist."""
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"404"}))) as simulator:
        yield simulator


@pytest.fixture
async def source(program: Program, simulator: Simulator) -> str:
    """A file after its first night: eight runs, two failed and two rejected records."""
    given = [record | {"experiment_id": "404"} if number < 2 else record for number, record in enumerate(records(10))]
    source = program.write("runs.jsonl", given)
    with (program.folder / source).open("ab") as file:
        file.write(BAD)
    night = await program.ingest(*aim(simulator), source)
    assert (night.code, night.summary["counts"]) == (3, counted(created=8, failed=2, rejected=2))
    return source


async def test_a_night_succeeds_once_what_will_never_work_is_forgotten(
    program: Program, simulator: Simulator, source: str
) -> None:
    for outcome in ("failed", "rejected"):
        done = await program.run("forget", "--outcome", outcome, "--output", "json")
        assert (done.code, done.summary["counts"]) == (0, {outcome: 2})
    attempts = simulator.statistics.requests

    night = await program.ingest(*aim(simulator), source)
    assert (night.code, night.summary["counts"]) == (0, counted(already_done=8, forgotten=4))
    assert (await program.run("resume", *aim(simulator))).code == 0
    assert (await program.run("reconcile", *aim(simulator))).code == 0
    assert simulator.statistics.requests == attempts
    assert [row["outcome"] for row in program.rows("forgotten")] == ["forgotten"] * 2
    assert program.counts()["failed"] == 0
    assert "rejected records that are forgotten: 2" in (await program.run("status")).stdout
    assert not (program.folder / ".ingestor" / "rejects.jsonl").exists()


async def test_every_rejected_record_that_is_still_in_a_file_is_forgotten_also_after_repairs_were_sent(
    program: Program, simulator: Simulator, source: str
) -> None:
    """The repairs are a run of their own: its rejects are in a new file, and those of the night in another one."""
    repairs = b'{"job_id": "bad", "run_name": "good"}\n{"nobody": 1}\n'
    assert (await program.ingest(*aim(simulator), "-", stdin=repairs)).code == 3
    done = await program.run("forget", "--outcome", "rejected", "--output", "json")
    files = [path.rpartition("/")[2] for path in done.summary["files"]]
    assert (done.summary["counts"], files[1:], files[0][:9]) == ({"rejected": 3}, ["rejects.jsonl"], "rejects-2")
    assert (await program.run("forget", "--outcome", "failed")).code == 0

    night = await program.ingest(*aim(simulator), source)
    assert (night.code, night.summary["counts"]) == (0, counted(already_done=9, forgotten=3))


async def test_a_file_of_another_format_is_forgotten_and_a_damaged_one_is_not(
    program: Program, simulator: Simulator
) -> None:
    program.write("runs.jsonl", records(3))
    program.write("old.csv", b"job_id,run_name\na,b\n")
    program.write("cut.jsonl.gz", gzip.compress(b'{"job_id": "x", "run_name": "x"}\n' * 5000)[:-20])
    words = (*aim(simulator), "runs.jsonl", "old.csv")
    assert (await program.ingest(*words, "cut.jsonl.gz")).code == 3
    done = await program.run("forget", "--outcome", "rejected")
    assert "1 rejected" in done.stdout
    assert "Not forgotten: 1 damaged source" in done.stdout
    assert f"read .ingestor{os.sep}rejects.jsonl" in done.stdout

    night = await program.ingest(*words)
    assert (night.code, night.summary["counts"]) == (0, counted(already_done=3, forgotten=1))
    assert [it["damaged"] or it["other_format"] for it in night.summary["sources"]] == [False, False]
    assert (await program.ingest(*words, "cut.jsonl.gz")).code == 3
    program.write("new.csv", b"job_id,run_name\nc,d\n")
    assert (await program.ingest(*words, "new.csv")).code == 3, "another file with the same columns is not forgotten"


async def test_resume_has_nothing_left_of_a_file_of_another_format_that_is_forgotten(
    program: Program, simulator: Simulator
) -> None:
    program.write("runs.jsonl", records(1))
    program.write("old.csv", b"job_id,run_name\na,b\n")
    assert (await program.ingest(*aim(simulator), "runs.jsonl", "old.csv")).code == 3
    assert (await program.run("resume", *aim(simulator))).code == 3
    assert (await program.run("forget", "--outcome", "rejected")).code == 0
    assert (await program.run("resume", *aim(simulator))).code == 0


async def test_without_any_file_of_rejected_records_nothing_is_forgotten(
    program: Program, simulator: Simulator
) -> None:
    program.write("runs.jsonl", records(1))
    assert (await program.ingest(*aim(simulator), "runs.jsonl")).code == 0
    done = await program.run("forget", "--outcome", "rejected")
    assert (done.code, "rejects.jsonl does not exist" in done.stdout) == (0, True)


async def test_what_is_forgotten_can_be_brought_back(program: Program, simulator: Simulator, source: str) -> None:
    before = program.rows()
    (program.folder / ".ingestor" / "rejects.jsonl").rename(program.folder / "mine.jsonl")
    for words in (("failed",), ("rejected", "--rejects", "mine.jsonl")):
        assert (await program.run("forget", "--outcome", *words)).code == 0
        undone = await program.run("forget", "--outcome", *words, "--undo", "--output", "json")
        assert (undone.code, undone.summary["counts"]) == (0, {words[0]: 2})
    assert program.rows() == before

    night = await program.ingest(*aim(simulator), source)
    assert (night.code, night.summary["counts"]) == (3, counted(already_done=8, failed=2, rejected=2))


async def test_a_rejected_record_that_was_changed_is_a_new_record(
    program: Program, simulator: Simulator, source: str
) -> None:
    assert (await program.run("forget", "--outcome", "rejected")).code == 0
    program.write("changed.jsonl", b'{"job_id": "bad", "run_name": "good"}\n{"job_id":\n')
    night = await program.ingest(*aim(simulator), "changed.jsonl")
    assert night.summary["counts"] == counted(created=1, failed=2, rejected=1)
    assert [reject["record"] for reject in program.rejects()] == ['{"job_id":']


async def test_what_a_stopped_run_rejected_is_not_reported_by_resume_once_it_is_forgotten(
    program: Program, simulator: Simulator
) -> None:
    program.write("long.jsonl", BAD + b"".join(json.dumps(it).encode() + b"\n" for it in records(3000)))
    stopped = await program.ingest(*aim(simulator), "--rate", "200", "--time-budget", "0.4", "long.jsonl")
    assert (stopped.code, stopped.summary["counts"]["rejected"]) == (75, 2)
    assert (await program.run("forget", "--outcome", "rejected")).code == 0
    assert (await program.run("resume", *aim(simulator))).code == 0


async def test_single_jobs_are_forgotten_by_their_ids(program: Program, simulator: Simulator, source: str) -> None:
    first, second = (row["job_id"] for row in program.rows("failed"))
    done = await program.run("forget", "--job-id", first, "--job-id", second, "--output", "json")
    assert (done.summary["counts"], done.summary["unchanged"]) == ({"failed": 2}, 0)
    again = await program.run("forget", "--job-id", first, "--output", "json")
    assert (again.code, again.summary["counts"], again.summary["unchanged"]) == (0, {}, 1)
    assert (await program.run("forget", "--job-id", second, "--undo")).code == 0
    assert [row["job_id"] for row in program.rows("failed")] == [second]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "Give either the job ids (--job-id) or the outcome (--outcome)"),
        (("--job-id", "a", "--outcome", "failed"), "Give either the job ids"),
        (("--job-id", "nobody"), "job id nobody: batch default has no such job"),
        (("--outcome", "created"), "must be 'failed', 'unresolved' or 'rejected', got created"),
        (("--outcome", "failed", "--batch", "other"), "no such batch; it has default"),
        (("--outcome", "failed", "--workspace", "other"), "that is not the target that you name"),
        (("--outcome", "rejected", "--rejects", "runs.jsonl"), "runs.jsonl, line 1: this is no rejected record"),
        (("--outcome", "rejected", "--rejects", "."), ". is not a file of rejected records"),
        (("--outcome", "failed", "--state", "nowhere"), "There is no journal in nowhere yet"),
    ],
)
async def test_what_can_not_be_forgotten_is_said_and_nothing_changes(
    program: Program, source: str, words: tuple[str, ...], message: str
) -> None:
    before = program.rows()
    refused = await program.run("forget", *words)
    assert (refused.code, message in refused.stderr) == (2, True), refused.stderr
    assert program.rows() == before
    assert not (program.folder / "nowhere").exists()


async def test_a_job_that_has_a_run_is_not_forgotten_nor_is_any_other_with_it(program: Program, source: str) -> None:
    (created, *_), (failed, *_) = program.rows("created"), program.rows("failed")
    refused = await program.run("forget", "--job-id", failed["job_id"], "--job-id", created["job_id"])
    assert (refused.code, "its run exists (created)" in refused.stderr) == (2, True)
    assert program.rows("forgotten") == []


async def test_the_batch_and_its_target_must_be_named_if_there_are_several(
    program: Program, simulator: Simulator, source: str
) -> None:
    assert (await program.ingest(*aim(simulator), "--batch", "second", source)).code == 3
    asked = await program.run("forget", "--outcome", "failed")
    assert (asked.code, "Name the batch with --batch" in asked.stderr, "default, second" in asked.stderr) == (
        2,
        True,
        True,
    )
    other = ("--endpoint", simulator.url, "--platform-id", "ocid1.other", "--workspace", "w", "--auth", "none")
    assert (await program.ingest(*other, source)).code == 4
    asked = await program.run("forget", "--outcome", "failed", "--batch", "default")
    assert (asked.code, "say which with --platform-id and --workspace" in asked.stderr) == (2, True)
    done = await program.run("forget", "--outcome", "failed", "--batch", "default", *aim(simulator)[2:6])
    assert done.code == 0
    assert len(program.rows("forgotten")) == 2


async def test_nothing_is_forgotten_while_a_run_uses_the_state_directory(
    program: Program, simulator: Simulator
) -> None:
    program.write("long.jsonl", records(3000))
    running = await program.start("run", *aim(simulator), "--rate", "100", "long.jsonl")
    await running.until(lambda: simulator.statistics.run_count >= 20)
    refused = await program.run("forget", "--outcome", "failed")
    assert (refused.code, "is in use by process" in refused.stderr) == (75, True)
    await running.die()


async def test_what_was_forgotten_is_said_on_standard_error_if_standard_output_is_full(
    program: Program, simulator: Simulator
) -> None:
    await program.ingest(*aim(simulator), program.write("runs.jsonl", records(1)))
    full = os.open("/dev/full", os.O_WRONLY)
    running = await program.start("forget", "--outcome", "failed", stdout=full)
    os.close(full)
    ended = await running.end()
    assert ended.code == 0
    assert "standard output: No space left on device" in ended.stderr
    assert "Forgotten in batch" in ended.stderr
