"""Bad input costs only itself, and the reason names what is wrong."""

import gzip
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestor.simulator.server import Simulator
from tests.e2e.program import COMMAND, Document, Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run

GOOD: list[Document] = [{"job_id": name, "run_name": name} for name in ("before", "after")]
BEFORE, AFTER = to_lines(GOOD[:1]), to_lines(GOOD[1:])

BAD_LINES = {
    "not JSON": (b"{nope", "not JSON"),
    "not UTF-8": (b'{"run_name": "caf\xe9"}', "UTF-8"),
    "a JSON array": (b"[1, 2]", "must be a JSON object"),
    "a JSON number": (b"17", "must be a JSON object"),
    "an unknown field": (b'{"learning_rate": "0.1"}', "learning_rate"),
    "a wrong type for a text": (b'{"run_name": 7}', "run_name: must be a string"),
    "a wrong type for tags": (b'{"tags": "a=b"}', "tags: must be an object or a list"),
    "a float start_time": (b'{"start_time": 1707431296765.5}', "start_time: "),
    "a negative start_time": (b'{"start_time": -1}', "start_time: must not be negative"),
    "a start_time in seconds": (b'{"start_time": 1707431296}', "start_time: "),
    "a start_time beyond int64": (b'{"start_time": 9223372036854775808}', "start_time: "),
    "tag keys that appear twice": (
        b'{"tags": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}',
        "tags: the key 'a' occurs twice",
    ),
    "a tag that occurs twice in an object": (b'{"tags": {"a": "1", "a": "2"}}', "'a' occurs twice"),
    "a nested tag value": (b'{"tags": {"a": {"b": "c"}}}', "tags: the value of 'a' must be a string"),
    "a null field": (b'{"run_name": null}', "run_name: must be a string, not null"),
    "a raw NUL byte": (b'{"run_name": "a\0b"}', "not JSON"),
    "an escaped NUL": (b'{"run_name": "a\\u0000b"}', "run_name: contains a NUL"),
    "a lone surrogate": (b'{"run_name": "\\ud800"}', "run_name: contains half of a surrogate pair"),
    "a job_id that was used with another body": (b'{"job_id": "before", "run_name": "else"}', "job_id: "),
    "a line longer than is kept": (b'{"run_name": "' + 17 * 2**20 * b"x" + b'"}', "the line is longer than"),
}


@pytest.mark.parametrize(("line", "reason"), BAD_LINES.values(), ids=BAD_LINES.keys())
async def test_a_bad_line_costs_only_itself(program: Program, simulator: Simulator, line: bytes, reason: str) -> None:
    source = program.write("runs.jsonl", BEFORE + line + b"\n" + AFTER)

    ended = await program.ingest(*aim(simulator), source)

    assert ended.code == 3, ended.stderr
    (reject,) = program.rejects()
    assert (reject["source"], reject["line"]) == ("runs.jsonl", 2)
    assert reason in reject["reason"]
    text = line.decode(errors="backslashreplace")
    assert reject["record"] == (text if len(line) < 2**24 else text[: 2**24])
    (logged,) = program.events("run.rejected")
    assert (logged["line"], logged["error_message"]) == (2, reject["reason"])
    assert_each_is_one_run(simulator, GOOD, program.rows())
    assert simulator.statistics.requests == 2


LONG = {"job_id": "long", "tags": [{"key": "text", "value": "x" * 5_000_000}]}

FINE = {
    "an empty line": (BEFORE + b"\n  \n" + AFTER, GOOD),
    "a byte order mark": (b"\xef\xbb\xbf" + BEFORE + AFTER, GOOD),
    "CRLF": (BEFORE.replace(b"\n", b"\r\n") + AFTER.replace(b"\n", b"\r\n"), GOOD),
    "no line end at the end": (BEFORE + AFTER.rstrip(b"\n"), GOOD),
    "a line of 5 MB": (BEFORE + to_lines([LONG]) + AFTER, [GOOD[0], LONG, GOOD[1]]),
    "an empty input": (b"", []),
}


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # Python ignores it by default
@pytest.mark.parametrize(("data", "records"), FINE.values(), ids=FINE.keys())
async def test_unusual_input_is_read(
    program: Program, simulator: Simulator, data: bytes, records: list[Document]
) -> None:
    ended = await program.ingest(*aim(simulator), program.write("runs.jsonl", data))

    assert ended.code == 0, ended.stderr
    assert not (program.folder / ".ingestor/rejects.jsonl").exists()
    assert_each_is_one_run(simulator, records, program.rows())


async def test_records_that_appear_twice_are_one_run_each(program: Program, simulator: Simulator) -> None:
    data = BEFORE + b'{"run_name": "nameless"}\n' + BEFORE + b'{"run_name":"nameless"}\n' + AFTER

    ended = await program.ingest(*aim(simulator), program.write("runs.jsonl", data))

    assert ended.code == 0
    assert (ended.summary["counts"]["created"], ended.summary["counts"]["duplicate"]) == (3, 2)
    assert simulator.statistics.requests == simulator.statistics.run_count == 3


async def test_of_a_truncated_gzip_all_complete_records_are_created_and_the_next_file_is_read(
    program: Program, simulator: Simulator
) -> None:
    packed = gzip.compress(BEFORE + AFTER)
    sources = [program.write("a.jsonl.gz", packed[:-9]), program.write("b.jsonl", AFTER)]

    ended = await program.ingest(*aim(simulator), *sources)

    assert ended.code == 3
    (reject,) = program.rejects()
    assert reject["source"] == "a.jsonl.gz"
    assert "cut short" in reject["reason"]
    assert "after" in [row["job_id"] for row in program.rows()]
    again = await program.ingest(*aim(simulator), program.write("a.jsonl.gz", packed))
    assert again.code == 0
    assert_each_is_one_run(simulator, GOOD, program.rows())


def _a_closed_file(folder: Path) -> None:
    (folder / "bad").write_bytes(AFTER)
    (folder / "bad").chmod(0)


WITHOUT_PRIVILEGE = f"""
import ctypes, os
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH: root has them, and may read everything
    ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP
os.execv({sys.executable!r}, [*{COMMAND!r}, *__import__("sys").argv[1:]])
"""


@pytest.mark.parametrize(
    ("source", "make", "message"),
    [
        ("bad", lambda _: None, "bad: there is no such file or directory"),
        ("bad/*.jsonl", lambda _: None, "bad/: there is no such file or directory"),
        ("bad", _a_closed_file, "bad: can't be read: Permission denied"),
    ],
    ids=["a missing file", "a glob in a missing folder", "no permission"],
)
async def test_a_source_that_cannot_be_read_is_named_before_anything_is_sent(
    program: Program, simulator: Simulator, source: str, make: Callable[[Path], None], message: str
) -> None:
    make(program.folder)
    good = program.write("runs.jsonl", BEFORE)

    command = (sys.executable, "-c", WITHOUT_PRIVILEGE)
    ended = await program.spawn("run", *aim(simulator), good, source, command=command)

    assert ended.code == 2
    assert message in ended.stderr
    assert simulator.statistics.requests == 0


async def test_check_finds_the_same_and_sends_nothing(program: Program, simulator: Simulator) -> None:
    lines = [line for line, reason in BAD_LINES.values() if len(line) < 1000 and not reason.startswith("job_id")]
    source = program.write("runs.jsonl", BEFORE + b"\n".join(lines) + b"\n" + AFTER)

    ended = await program.run("check", source)

    assert ended.code == 3
    assert ended.stdout.splitlines()[-1] == f"{len(lines) + 2} records: 2 valid, {len(lines)} rejected"
    reasons = [reason for line, reason in BAD_LINES.values() if line in lines]
    printed = ended.stdout.splitlines()[: len(lines)]
    assert f"\n  {len(lines) + 2:>11,}  {source}, {len(lines)} rejected\n" in ended.stdout
    assert [(number, reason in text) for number, (text, reason) in enumerate(zip(printed, reasons, strict=True))] == [
        (number, True) for number in range(len(lines))
    ]
    assert ended.stderr == ""
