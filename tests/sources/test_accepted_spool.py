"""Accepted records are on disk before they count as kept, and until every one of them is done."""

import errno
import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestor.model.errors import SpoolError
from ingestor.model.record import Job
from ingestor.model.sources import Checkpoint, Chunk, Position, SourceEnd
from ingestor.sources.accepted_spool import ACCEPTED_RECORDS, AcceptedSpool
from ingestor.sources.segment_folder import kept_elsewhere
from ingestor.sources.segments import Kept
from ingestor.sources.spool import Spool
from tests.sources.standard_input import texts
from tests.support.records import SCOPE


def line(number: int) -> bytes:
    return json.dumps({"job_id": f"job {number}"}).encode() + b"\n"


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("accepted-*.jsonl"))


def read(spool: AcceptedSpool) -> list[Chunk]:
    chunks: list[Chunk] = []
    while found := spool.read():
        chunks += found
    return chunks


def acknowledge(spool: AcceptedSpool, position: Position | None) -> None:
    spool.acknowledge(Checkpoint(ACCEPTED_RECORDS, position))


def test_what_is_written_is_on_disk_and_is_read_by_this_and_the_next_process(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE)
    spool.write([line(1), line(2) + line(3)])
    (file,) = files(tmp_path)
    assert file.read_bytes() == line(1) + line(2) + line(3)
    found = read(spool)
    assert texts(found) == [line(n).strip() for n in (1, 2, 3)]
    assert [(it.origin.source, it.origin.line) for it in found[0].records] == [("POST /runs", n) for n in (1, 2, 3)]
    assert read(AcceptedSpool(tmp_path, SCOPE)) == found


def test_the_files_are_private(tmp_path: Path) -> None:
    AcceptedSpool(tmp_path, SCOPE).write([line(1)])
    (file,) = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [folder.stat().st_mode & 0o777 for folder in file.parents[:2]] == [0o700] * 2


def test_standard_input_and_accepted_records_do_not_mix(tmp_path: Path) -> None:
    AcceptedSpool(tmp_path, SCOPE).write([line(1)])
    assert Spool(tmp_path, SCOPE).is_empty


def test_what_is_kept_for_another_batch_is_known(tmp_path: Path) -> None:
    other = type(SCOPE)(SCOPE.platform, SCOPE.workspace, "another batch")
    AcceptedSpool(tmp_path, other).write([line(1)])
    (found,) = kept_elsewhere(tmp_path, SCOPE)
    assert (found.kind, found.size, found.scope) == (Kept.ACCEPTED, len(line(1)), other)


def test_a_line_that_a_crash_cut_was_never_accepted(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE)
    spool.write([line(1)])
    with files(tmp_path)[0].open("ab") as file:
        file.write(line(2)[:9])
    later = AcceptedSpool(tmp_path, SCOPE)
    later.write([line(3)])
    assert texts(read(later)) == [line(1).strip(), line(3).strip()]


def test_little_is_kept_of_what_is_done(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE, segment_size=len(line(0)))
    for number in range(30):
        spool.write([line(number)])
        (chunk,) = read(spool)
        assert spool.unfinished == len(line(number))
        acknowledge(spool, chunk.position)
        assert spool.unfinished == 0
        assert files(tmp_path) == []


def test_what_is_sealed_later_is_deleted_then(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE)
    spool.write([line(1)])
    acknowledge(spool, read(spool)[-1].position)
    assert len(files(tmp_path)) == 1
    spool.seal_all()
    assert files(tmp_path) == []
    spool.write([line(2)])
    assert texts(read(spool)) == [line(2).strip()]


def test_what_is_not_done_stays_and_counts(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE, segment_size=len(line(0)))
    for number in range(5):
        spool.write([line(number)])
    chunks = read(spool)
    acknowledge(spool, chunks[2].position)
    assert [file.read_bytes() for file in files(tmp_path)] == [line(3), line(4)]
    assert spool.unfinished == 2 * len(line(0))
    later = AcceptedSpool(tmp_path, SCOPE, chunks[2].position)
    assert later.unfinished == 2 * len(line(0))
    assert texts(read(later)) == texts(chunks[3:])


def test_the_next_process_deletes_what_was_passed_and_is_still_there(tmp_path: Path) -> None:
    """A process was killed between the commit of a checkpoint and the deletion."""
    spool = AcceptedSpool(tmp_path, SCOPE, segment_size=len(line(0)))
    for number in range(5):
        spool.write([line(number)])
    position = read(spool)[3].position
    AcceptedSpool(tmp_path, SCOPE, position)
    assert [file.read_bytes() for file in files(tmp_path)] == [line(4)]


@pytest.mark.parametrize("lost", [None, "nonsense", '{"segment":1,"offset":9999,"line":7}'])
def test_without_a_position_that_holds_all_is_read(tmp_path: Path, lost: Position | None) -> None:
    AcceptedSpool(tmp_path, SCOPE).write([line(1), line(2)])
    assert texts(read(AcceptedSpool(tmp_path, SCOPE, lost))) == [line(1).strip(), line(2).strip()]


def test_a_new_segment_never_has_the_number_of_an_old_one(tmp_path: Path) -> None:
    first = AcceptedSpool(tmp_path, SCOPE)
    first.write([line(1)])
    first.seal_all()
    position = read(first)[-1].position
    acknowledge(first, position)
    assert files(tmp_path) == []
    later = AcceptedSpool(tmp_path, SCOPE, position)
    later.write([line(2)])
    assert json.loads(read(later)[0].position or "")["segment"] > json.loads(position or "")["segment"]


def test_a_line_may_be_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE)
    long = json.dumps({"run_name": "x" * 3_000_000}).encode()
    spool.write([line(1) + long + b"\n" + line(2)])
    assert texts(read(spool)) == [line(1).strip(), long, line(2).strip()]
    assert spool.read_bytes == len(long) + 1 + 2 * len(line(1))


def test_nothing_is_written_to_a_disk_that_is_almost_full(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE, reserve=2**60)
    with pytest.raises(OSError, match="No space left") as error:
        spool.write([line(1)])
    assert error.value.errno == errno.ENOSPC
    assert files(tmp_path) == []


def test_segments_that_vanish_end_the_batch(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE)
    spool.write([line(1)])
    files(tmp_path)[0].unlink()
    with pytest.raises(SpoolError, match="can't be read"):
        spool.read()


WRITES_UNTIL_A_LIMIT = """
import resource, sys
from pathlib import Path
from ingestor.policy.identity import Scope
from ingestor.sources.accepted_spool import AcceptedSpool

spool = AcceptedSpool(Path(sys.argv[1]), Scope(*sys.argv[2:]))
spool.write([b'{"job_id":"1"}\\n'])
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    spool.write([b'{"job_id":"2"}\\n', b'{"job_id":"%s"}\\n' % (b"x" * 200)])
except OSError as error:
    print(error.strerror)
spool.write([b'{"job_id":"3"}\\n'])
"""


def test_after_a_failed_write_nothing_of_it_is_kept_and_the_next_one_is(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITES_UNTIL_A_LIMIT, str(tmp_path), SCOPE.platform, SCOPE.workspace, SCOPE.batch]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "File too large\n"
    assert texts(read(AcceptedSpool(tmp_path, SCOPE))) == [b'{"job_id":"1"}', b'{"job_id":"3"}']


RECORDS_SYNCS = """
import os, sys
from pathlib import Path

synced, sync = [], os.fdatasync
os.fdatasync = lambda file: (sync(file), synced.append(os.fstat(file).st_size))

from ingestor.policy.identity import Scope
from ingestor.sources.accepted_spool import AcceptedSpool

spool = AcceptedSpool(Path(sys.argv[1]), Scope(*sys.argv[2:]))
for group in ([b"{}\\n", b"{}\\n", b"{}\\n"], [b"{}\\n"]):
    spool.write(group)
    print(synced)
"""


def test_what_is_written_together_waits_once_for_the_disk(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RECORDS_SYNCS, str(tmp_path), SCOPE.platform, SCOPE.workspace, SCOPE.batch]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ended.stdout == "[9]\n[9, 12]\n"


KILLED_WRITER = """
import sys
from pathlib import Path
from ingestor.policy.identity import Scope
from ingestor.sources.accepted_spool import AcceptedSpool

spool = AcceptedSpool(Path(sys.argv[1]), Scope(*sys.argv[2:]), segment_size=4096)
for number in range(1_000_000):
    spool.write([b'{"job_id":"%d"}\\n' % number])
    print(number, flush=True)
"""


def test_a_killed_writer_has_lost_nothing_that_it_reported(tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED_WRITER, str(tmp_path), SCOPE.platform, SCOPE.workspace, SCOPE.batch]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 300:
            pass
        writer.send_signal(signal.SIGKILL)
        reported = [int(text) for text in writer.stdout.read().split()]
    last = reported[-1] if reported else 300
    found = [json.loads(text)["job_id"] for text in texts(read(AcceptedSpool(tmp_path, SCOPE)))]
    assert found[: last + 1] == [str(number) for number in range(last + 1)]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 60), max_size=12), st.data())
def test_whenever_processes_are_killed_all_records_come_once_after_each_checkpoint(
    sizes: Sequence[int], data: st.DataObject
) -> None:
    lines = [json.dumps({"job_id": f"job {n}", "run_name": "x" * size}).encode() for n, size in enumerate(sizes)]
    left, done = list(lines), 0
    start: Position | None = None
    with TemporaryDirectory() as folder:
        while True:
            spool = AcceptedSpool(Path(folder), SCOPE, start, segment_size=data.draw(st.integers(10, 300)))
            for _ in range(data.draw(st.integers(0, len(left)))):
                spool.write([left.pop(0) + b"\n"])
                if data.draw(st.booleans()):
                    spool.seal_all()
            undone: list[bytes] = []
            for chunk in read(spool):
                undone += [it.raw for it in chunk.records if isinstance(it, Job)]
                if not left or data.draw(st.booleans()):
                    assert undone == lines[done : done + len(undone)]
                    done, undone, start = done + len(undone), [], chunk.position
                    acknowledge(spool, start)
            spool.close()
            if not left and done == len(lines):
                break
        assert done == len(lines)
        assert spool.is_empty
        assert spool.unfinished == 0


def test_the_end_of_the_source_deletes_all_that_was_sealed(tmp_path: Path) -> None:
    spool = AcceptedSpool(tmp_path, SCOPE)
    spool.write([line(1)])
    (chunk,) = read(spool)
    spool.close()
    spool.acknowledge(Checkpoint(ACCEPTED_RECORDS, chunk.position, end=SourceEnd.COMPLETE))
    assert [it.name for it in spool.folder.iterdir()] == ["scope.json"]
