"""A file of another format is refused once, by name, at its first line. The command that is advised converts it."""

import csv
import gzip
import importlib
import io
import json
import pickle
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingestor.model.record import Job, Origin, Reject
from ingestor.model.sources import Chunk, SourceEnd
from ingestor.sources.errors import OtherFormatError
from ingestor.sources.file_source import FileSource
from ingestor.sources.locate import source_of
from ingestor.sources.opening import is_record
from ingestor.sources.other_format import json_lines
from tests.support.records import SCOPE

RECORDS: list[dict[str, Any]] = [
    {"job_id": f"job {n}", "run_name": f"run {n}, naïve", "start_time": 1_707_431_296_765 + n, "tags": {"a": "b"}}
    for n in range(4)
]
FLAT = [{name: value for name, value in it.items() if name != "tags"} for it in RECORDS]
LINES = [json.dumps(it, ensure_ascii=False).encode() for it in RECORDS]
TEXT = b"".join(line + b"\n" for line in LINES)
PRETTY = b"\n".join(json.dumps(it, indent=2).encode() for it in RECORDS)
RUNS = [
    {
        "info": {"run_id": it["job_id"], "run_name": it["run_name"], "start_time": it["start_time"], "status": "x"},
        "data": {"tags": [{"key": "a", "value": "b"}], "metrics": []},
    }
    for it in RECORDS
]


def as_text(encoding: str) -> bytes:
    return TEXT.decode().encode(encoding)


def a_tar() -> bytes:
    buffer, member = io.BytesIO(), tarfile.TarInfo("runs.jsonl")
    member.size = len(TEXT)
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(member, io.BytesIO(TEXT))
    return buffer.getvalue()


def a_table(delimiter: str) -> bytes:
    rows = [delimiter.join(FLAT[0]), *(delimiter.join(f'"{value}"' for value in it.values()) for it in FLAT)]
    return "\n".join(rows).encode()


MARK = b"\xef\xbb\xbf"


def a_container_log(wrap: Callable[[bytes], dict[str, str]]) -> bytes:
    """Return what Docker writes of a program that prints records; a long line is written in parts."""
    parts = [LINES[0][:30], LINES[0][30:] + b"\n", *(line + b"\n" for line in LINES[1:])]
    return b"".join(json.dumps(wrap(part)).encode() + b"\n" for part in parts)


CONVERTIBLE = {
    "a comma before each object but the first": (
        b"\n,".join(LINES),
        "JSON with a comma before each object",
    ),
    "commas after the first line": (
        LINES[0] + b"\n" + b",\n".join(LINES[1:]) + b",\n",
        "JSON with a comma after each object",
    ),
    "a container's log": (
        a_container_log(lambda it: {"log": it.decode(), "stream": "stdout", "time": "2024-02-08T22:28:16.7Z"}),
        "the log of a container",
    ),
    "a container's log with errors": (
        json.dumps({"stream": "stderr", "log": "starting\n", "time": ""}).encode()
        + b"\n"
        + a_container_log(lambda it: {"stream": "stdout", "log": it.decode(), "time": ""}),
        "the log of a container",
    ),
    "Latin-1": (as_text("latin-1"), "text in an encoding such as ISO-8859-1, not UTF-8"),
    "Windows-1252": (
        as_text("utf-8").replace("naïve".encode(), b"na\xefve").replace(b"}}", b', "c": "\x80"}}'),
        "text in an encoding such as WINDOWS-1252, not UTF-8",
    ),
    "server-sent events": (
        b"".join(b"event: run\ndata: " + it + b"\n\n" for it in LINES),
        "text with something before each record",
    ),
    "log lines": (
        b"".join(b"2024-02-08 22:28:16 INFO [exporter] " + it + b"\n" for it in LINES),
        "text with something before each record",
    ),
    "a table with a mark": (MARK + a_table(","), "CSV"),
    "a comma after each object and a mark": (MARK + b",\n".join(LINES), "JSON with a comma after each object"),
    "dictionaries of Python after a blank line and a mark": (
        b"\n" + MARK + "\n".join(map(repr, RECORDS)).encode(),
        "text of Python dictionaries",
    ),
    "a comma after each object": (b",\n".join(LINES), "JSON with a comma after each object"),
    "a comma after the last object too": (b",\r\n".join([*LINES, b""]), "JSON with a comma after each object"),
    "commas between objects on one line": (b", ".join(LINES), "JSON with a comma after each object"),
    "an array on one line": (json.dumps(RECORDS).encode(), "a JSON array"),
    "an array with an entry on each line": (b"[\n" + b",\n".join(LINES) + b"\n]\n", "a JSON array"),
    "an array with a comma before each entry": (b"[\n" + b"\n,".join(LINES) + b"\n]", "a JSON array"),
    "an array that begins and ends on the lines of entries": (b"[" + b", \n ".join(LINES) + b"]", "a JSON array"),
    "a printed array": (json.dumps(RECORDS, indent=4).encode(), "a JSON array"),
    "an array on each line": (b"".join(b"[" + it + b"]\n" for it in LINES), "a JSON array"),
    "a long array on one line": (b"[" + b",".join(LINES * 3000) + b"]", "a JSON array"),
    "an array after blank lines and a mark": (b"\xef\xbb\xbf\n \r\n" + json.dumps(RECORDS).encode(), "a JSON array"),
    "UTF-16 with a mark": (as_text("utf-16"), "UTF-16 text, not UTF-8"),
    "UTF-16 with a big-endian mark": (b"\xfe\xff" + as_text("utf-16-be"), "UTF-16 text, not UTF-8"),
    "UTF-16 without a mark": (as_text("utf-16-le"), "UTF-16LE text, not UTF-8"),
    "big-endian UTF-16 without a mark": (as_text("utf-16-be"), "UTF-16BE text, not UTF-8"),
    "UTF-32": (as_text("utf-32"), "UTF-32 text, not UTF-8"),
    "UTF-32 without a mark": (as_text("utf-32-le"), "UTF-32LE text, not UTF-8"),
    "big-endian UTF-32 without a mark": (as_text("utf-32-be"), "UTF-32BE text, not UTF-8"),
    "CR line ends": (TEXT.replace(b"\n", b"\r"), "JSON Lines with CR line ends (old Mac OS)"),
    "a JSON text sequence": (b"".join(b"\x1e" + it + b"\n" for it in LINES), "a JSON text sequence (RFC 7464)"),
    "a printed JSON text sequence": (
        b"".join(b"\x1e" + json.dumps(it, indent=1).encode() + b"\n" for it in RECORDS),
        "a JSON text sequence (RFC 7464)",
    ),
    "printed objects": (PRETTY, "JSON that is printed over several lines"),
    "printed objects with CRLF": (PRETTY.replace(b"\n", b"\r\n"), "JSON that is printed over several lines"),
    "objects that continue on the next line": (
        b"".join(it.replace(b', "tags"', b',\n "tags"') + b"\n" for it in LINES),
        "JSON that is printed over several lines",
    ),
    "objects without anything between them": (b"".join(LINES), "JSON with several objects on one line"),
    "objects with spaces between them": (b" ".join(LINES), "JSON with several objects on one line"),
    "one object with all records": (
        json.dumps({"runs": RECORDS}).encode(),
        "one JSON object with the records in its member 'runs'",
    ),
    "one printed object with all records": (
        json.dumps({"runs": RECORDS}, indent=2).encode(),
        "one JSON object with the records in its member 'runs'",
    ),
    "one object with all records after other members": (
        json.dumps({"count": 4, "next": None, "my runs": RECORDS}).encode(),
        "one JSON object with the records in its member 'my runs'",
    ),
    "an answer of MLflow": (json.dumps({"runs": RUNS, "next_page_token": "x"}).encode(), "MLflow's own JSON of runs"),
    "a printed answer of MLflow": (json.dumps({"runs": RUNS}, indent=1).encode(), "MLflow's own JSON of runs"),
    "runs of MLflow, one a line": ("\n".join(map(json.dumps, RUNS)).encode(), "MLflow's own JSON of runs"),
    "dictionaries of Python": ("\n".join(map(repr, RECORDS)).encode(), "text of Python dictionaries"),
    "a list of Python": (repr(RECORDS).encode(), "text of Python dictionaries"),
    "rejected records": (
        b"".join(
            json.dumps({"source": "a", "line": 1, "reason": "b", "record": line.decode()}).encode() + b"\n"
            for line in LINES
        ),
        "a file of rejected records",
    ),
    "CSV": (a_table(","), "CSV"),
    "TSV": (a_table("\t"), "TSV"),
    "CSV with semicolons": (a_table(";"), "CSV with semicolons"),
    "CSV with CR line ends": (a_table(",").replace(b"\n", b"\r"), "CSV"),
    "tar": (a_tar(), "a tar archive"),
    "gzip in gzip": (gzip.compress(gzip.compress(TEXT)), "gzip data"),
    "an array in gzip": (gzip.compress(json.dumps(RECORDS).encode()), "a JSON array"),
    "UTF-16 in gzip": (gzip.compress(as_text("utf-16")), "UTF-16 text, not UTF-8"),
    "tar in gzip": (gzip.compress(a_tar()), "a tar archive"),
}


@pytest.mark.parametrize("write", [json.dumps, repr, lambda tags: json.dumps([{"key": "a", "value": tags["a"]}])])
def test_the_command_for_a_table_converts_tags_that_are_text_of_json_or_of_python(
    tmp_path: Path, write: Callable[[dict[str, str]], str]
) -> None:
    path, buffer = tmp_path / "runs.csv", io.StringIO()
    table = csv.DictWriter(buffer, RECORDS[0])
    table.writeheader()
    table.writerows(it | {"tags": write(it["tags"])} for it in RECORDS)
    path.write_text(buffer.getvalue())
    jobs = jobs_of(converted(path))
    assert [json.loads(it.body)["tags"] for it in jobs] == [[{"key": "a", "value": "b"}]] * len(RECORDS)


def test_the_command_for_parquet_converts_its_rows_and_leaves_out_empty_cells(tmp_path: Path) -> None:
    path, last = tmp_path / "runs", {"job_id": "job 4"}
    pandas = importlib.import_module("pandas")
    pandas.DataFrame([*RECORDS, last]).to_parquet(path)
    jobs = jobs_of(converted(path))
    assert [it.key for it in jobs] == [f"job {number}" for number in range(5)]
    assert [json.loads(it.body).get("start_time") for it in jobs] == [*(it["start_time"] for it in RECORDS), None]
    assert b'"tags":[{"key":"a","value":"b"}]' in jobs[0].body


def chunks_of(path: Path) -> list[Chunk]:
    return list(FileSource(source_of(str(path)), SCOPE).read())


def jobs_of(path: Path) -> list[Job]:
    return [it for chunk in chunks_of(path) for it in chunk.records if isinstance(it, Job)]


def refusal_of(path: Path) -> Reject:
    """Return the one reject that stands for a file."""
    [chunk] = chunks_of(path)
    assert chunk.end is SourceEnd.DAMAGED
    [reject] = chunk.records
    assert isinstance(reject, Reject)
    assert reject.is_other_format
    return reject


def converted(path: Path) -> Path:
    """Run the advised command, and return the file that it writes."""
    reason = refusal_of(path).reason
    command = re.findall(r"`(.*) \| ingestor run -`", reason)[0].replace("python3", shlex.quote(sys.executable))
    done = path.with_name("converted.jsonl")
    with done.open("wb") as file:
        subprocess.run(["bash", "-o", "pipefail", "-c", command], cwd=path.parent, stdout=file, check=True)
    return done


@pytest.mark.parametrize(("content", "name"), CONVERTIBLE.values(), ids=CONVERTIBLE)
def test_another_format_is_refused_by_name_and_the_advised_command_converts_it(
    tmp_path: Path, content: bytes, name: str
) -> None:
    path = tmp_path / "it's a file.json"
    path.write_bytes(content)
    assert refusal_of(path).reason.startswith(f"this is {name}: nothing of it was read; convert it with `")
    jobs = jobs_of(converted(path))
    assert [job.key for job in jobs] == [f"job {n}" for n in range(4)] * (len(jobs) // 4 or 1)
    for number, job in enumerate(jobs):
        body = json.loads(job.body)
        assert (body["run_name"], body.get("start_time")) in {
            (f"run {number % 4}, naïve", time) for time in (None, 1_707_431_296_765 + number % 4)
        }


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (LINES[0] + b",\n", "JSON with a comma after each object"),
        (LINES[0] + b",\n" + LINES[1] + b",\n" + LINES[2], "JSON with a comma after each object"),
        (b"[\n" + LINES[0] + b"\n]\n", "a JSON array"),
        (b"[\n" + LINES[0] + b",\n" + LINES[1] + b"\n]", "a JSON array"),
        (json.dumps(RECORDS[0], indent=2).encode(), "JSON that is printed over several lines"),
        (b'{"job_id": "a", "tags": [\n{"key": "a", "value": "b"}\n]}', "JSON that is printed over several lines"),
        (json.dumps({"run": RUNS[0]}).encode(), "MLflow's own JSON of runs"),
        (b'{"runs": []}', "one JSON object with the records in its member 'runs'"),
        (b"run_id,experiment_id,status\n", "CSV"),
        (b",name,metrics.loss\n0,a,0.1\n1,b,0.2\n", "CSV"),
        (b"name|loss\na|0.1\n", "CSV with vertical bars"),
        (b"---\njob_id: a\nrun_name: b\n", "YAML"),
        (b"- job_id: a\n  run_name: b\n- job_id: c\n", "YAML"),
        (b"artifact_uri: file:///mlruns/0/a\nend_time: 1\nrun_id: a\n", "YAML"),
        (b"\n<!DOCTYPE html>\n<html>\n", "an HTML page"),
        (b'<!-- x -->\n<HTML lang="en">', "an HTML page"),
        (b'<?xml version="1.0"?>\n<runs/>\n', "XML"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n", "a Git LFS pointer, not the data"),
        (LINES[0] + b"\n" + b",\n".join(LINES[:3]) + b",\n", "JSON with a comma after each object"),
        (b"data: " + LINES[0] + b"\n\ndata: " + LINES[1] + b"\n\n", "text with something before each record"),
        (b"PAR1", "a Parquet file"),
        (b"SQLite format 3\0\x10", "a SQLite database"),
        (b"ARROW1\0\0\xff\xff", "an Arrow file (Feather)"),
        (b"ORC\n\x06\x12", "an ORC file"),
        (b"Obj\x01\x04", "an Avro file"),
        (b"\x18" + bytes(7) + b"\xa3\x7fK\x22\t" + bytes(8) + b"\x1a\rbrain.Event:2", "a file of TensorBoard events"),
        (pickle.dumps(RECORDS), "a Python pickle"),
        (pickle.dumps(RECORDS, protocol=2), "a Python pickle"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"\x04\x22\x4d\x18d@", "lz4 data"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (bytes(5000), "binary data"),
        (b"\x95\x01\x02\xff" * 500, "binary data"),
        (b"2024-02-08 22:28:16 INFO exported one run\n" * 40, "text that is not JSON"),
        (b"17\n" * 40, "text that is not JSON"),
    ],
)  # fmt: skip
def test_another_format_is_refused_by_name(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / "runs.json"
    path.write_bytes(content)
    assert refusal_of(path).reason.startswith(f"this is {name}: nothing of it was read; ")


def test_zip_and_tar_are_refused_though_lines_in_them_are_records(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("runs.jsonl", TEXT)
    assert refusal_of(path).reason.startswith("this is a zip archive")
    path.write_bytes(a_tar())
    assert refusal_of(path).reason.startswith("this is a tar archive")


@pytest.mark.parametrize(
    ("beginning", "rejects"),
    [
        (b"garbage\n", 1),
        (b"a, b\nc, d\n", 2),
        (b"# exported on Monday\n", 1),
        (b"[INFO] export begins\n", 1),
        (b"[\n", 1),
        (b"{\n", 1),
        (b"[" + LINES[0] + b"]\n", 1),
        (LINES[0] + b",\n", 1),
        (LINES[0] + LINES[1] + b"\n", 1),
        (LINES[0][:20] + b"\n", 1),
        (PRETTY.split(b"\n")[0] + b"\n", 1),
        (b"\xff\xfe\n", 1),
        (b"PAR1\n", 1),
        (b"<html>\n", 1),
        (b"\x1e" + LINES[0] + b"\n", 1),
        (bytes(4096) + b"\n", 1),
        (b'{"runs": [{"run_name": "a"}]}\n', 1),
        (b"INFO: a\n" * 30, 30),
        (b'{"run_nam": "a"}\n' * 30, 30),
        (b'{"foo": "' + b"x" * 1_000_000 + b'"}\n', 1),
    ],
)
def test_bad_lines_before_good_records_cost_only_themselves(tmp_path: Path, beginning: bytes, rejects: int) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(beginning + TEXT)
    found = [it for chunk in chunks_of(path) for it in chunk.records]
    assert [it.key for it in found if isinstance(it, Job)] == [f"job {n}" for n in range(4)]
    assert [it.origin.line for it in found if isinstance(it, Reject)] == list(range(1, rejects + 1))
    assert not any(it.is_other_format for it in found if isinstance(it, Reject))


def test_a_reject_has_the_place_and_the_text_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "runs.json"
    path.write_bytes(b"\n \n" + json.dumps(RECORDS * 50).encode())
    reject = refusal_of(path)
    assert reject.origin == Origin(str(path), 3)
    assert len(reject.text) == 1000
    assert json.dumps(RECORDS * 50).startswith(reject.text)


@pytest.mark.parametrize(
    "content", [b"[]", b"[ ]\r\n", b"\n[\n\n]\n", b"\xef\xbb\xbf[]", gzip.compress(b"[]\n", mtime=0)]
)
def test_an_empty_array_is_an_empty_input(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "runs.json"
    path.write_bytes(content)
    [chunk] = chunks_of(path)
    assert (list(chunk.records), chunk.end) == ([], SourceEnd.COMPLETE)


@pytest.mark.parametrize("bad", [b"," + LINES[0], LINES[0] + b",", b"data: " + LINES[0], as_text("latin-1")[:80]])
def test_a_bad_line_or_two_after_a_record_are_rejects(tmp_path: Path, bad: bytes) -> None:
    path = tmp_path / "runs.jsonl"
    path.write_bytes(b"\n".join([LINES[0], bad, bad, *LINES[1:]]))
    found = [it for chunk in chunks_of(path) for it in chunk.records]
    assert [it.origin.line for it in found if isinstance(it, Reject)] == [2, 3]


@pytest.mark.parametrize(
    "content", [b"{", b"[", b"{\n", b'"', b"hello\nworld\n", b'{"foo": 1}', b'{"run_name": 1}\n' * 9]
)
def test_a_few_bad_lines_are_rejects_and_no_other_format(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "runs.json"
    path.write_bytes(content)
    [chunk] = chunks_of(path)
    assert chunk.end is SourceEnd.COMPLETE
    assert len(chunk.records) == len(content.splitlines())


def is_whole_or_not(content: bytes) -> bool:
    """Whether a content is short, and does not begin with a record: that is read before more comes."""
    return len(content) < 10_000 and not is_record(content.splitlines()[0])


@given(
    st.binary(max_size=300)
    | st.binary(max_size=40).map(lambda it: it + TEXT)
    | st.sampled_from([content for content, _ in CONVERTIBLE.values() if is_whole_or_not(content)]),
)
@example(b"\xef\xbb\xbf")
@example(b"[" * 3000)
@example(b'{"a":' * 3000)
@example(b'{"a": ' + b"9" * 6000 + b"}")
def test_any_beginning_is_recognized_or_not_without_an_error(content: bytes) -> None:
    blocks = [content[start : start + 7] for start in range(0, len(content), 7)]
    try:
        whole = list(json_lines(iter([content]), bytes, "runs.jsonl"))
    except OtherFormatError as error:
        with pytest.raises(OtherFormatError, match=re.escape(str(error))):
            list(json_lines(iter(blocks), bytes, "runs.jsonl"))
    else:
        assert whole == [content]
        assert list(json_lines(iter(blocks), bytes, "runs.jsonl")) == blocks


def test_what_can_not_be_decompressed_has_a_command_with_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "it's zstd.jsonl"
    path.write_bytes(b"\x28\xb5\x2f\xfd\x00\xa8\x09\x00\x00x")  # a window of 2 GiB, and one byte
    reason = refusal_of(path).reason
    assert f": use `zstd -dc --long=31 {shlex.quote(str(path))} | ingestor run -` with" in reason
