"""A file that is not JSON Lines costs one reject, with the command that converts it; its records are then created."""

import json
import subprocess
from pathlib import Path

import pytest

from ingestor.app.check import check
from ingestor.app.options import BatchOptions
from ingestor.model.errors import ExitCode
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run

RECORDS: list[Document] = [{"job_id": f"job {number}", "run_name": f"run {number}"} for number in range(5)]
ARRAY = json.dumps(RECORDS, indent=2).encode()
ADVICE = (
    "this is a JSON array: nothing of it was read; convert it with `cat runs.json | jq -c '.[]' | ingestor run -` "
    "and the same settings (if jq finds an error, the data is damaged)"
)


def converted(path: Path) -> bytes:
    return subprocess.run(["jq", "-c", ".[]", path], check=True, stdout=subprocess.PIPE).stdout


async def test_an_input_of_which_no_record_can_be_read_ends_with_2_and_the_advised_command_creates_all(
    program: Program, simulator: Simulator
) -> None:
    ended = await program.ingest(*aim(simulator), program.write("runs.json", ARRAY))

    assert ended.code == 2
    assert ended.summary["reason"] == "no record could be read: the input has another format"
    assert ended.summary["next"] == [f"runs.json: {ADVICE}."]
    (reject,) = program.rejects()
    assert (reject["source"], reject["line"], reject["reason"], reject["record"]) == ("runs.json", 1, ADVICE, "[")
    assert simulator.statistics.requests == 0
    assert (await program.ingest(*aim(simulator), "-", stdin=converted(program.folder / "runs.json"))).code == 0
    assert_each_is_one_run(simulator, RECORDS, program.rows())


async def test_a_file_of_another_format_among_others_costs_one_reject(program: Program, simulator: Simulator) -> None:
    sources = [program.write("runs.json", ARRAY), program.write("runs.jsonl", to_lines(RECORDS))]

    ended = await program.ingest(*aim(simulator), *sources)

    assert ended.code == 3
    assert (ended.summary["counts"]["created"], ended.summary["counts"]["rejected"]) == (5, 1)
    assert f"runs.json: {ADVICE}." in ended.summary["next"]
    assert_each_is_one_run(simulator, RECORDS, program.rows())
    resumed = await program.run("resume", *aim(simulator))
    assert (resumed.code, simulator.statistics.requests) == (3, 5)


async def test_another_format_on_standard_input_is_not_kept_for_the_next_run(
    program: Program, simulator: Simulator
) -> None:
    ended = await program.ingest(*aim(simulator), "-", stdin=ARRAY)
    assert (ended.code, len(program.rejects())) == (2, 1)

    again = await program.ingest(*aim(simulator), "-", stdin=to_lines(RECORDS))

    assert again.code == 0
    assert_each_is_one_run(simulator, RECORDS, program.rows())


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"a.json": ARRAY}, ExitCode.USAGE),
        ({"a.json": ARRAY, "b.json": b"<html>", "empty.json": b""}, ExitCode.USAGE),
        ({"a.json": ARRAY, "b.jsonl": b'{"run_name": 1}\n'}, ExitCode.INCOMPLETE),
        ({"a.json": ARRAY, "b.jsonl": to_lines(RECORDS)}, ExitCode.INCOMPLETE),
        ({"a.json": b"{}"}, ExitCode.INCOMPLETE),
    ],
)
def test_check_ends_with_2_only_if_no_record_could_be_read(
    tmp_path: Path, files: dict[str, bytes], code: ExitCode
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    assert check(BatchOptions(state=tmp_path / "state"), [str(tmp_path)], as_json=False) is code
