"""Standard input is kept before it counts as read."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingestor.model.errors import SpoolError
from ingestor.model.record import Line
from ingestor.policy.identity import Scope
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.spool import Spool
from tests.sources.reading import lines
from tests.support.records import SCOPE

OTHER = Scope(SCOPE.platform, SCOPE.workspace, "another batch")
TEXT = b'{"run_name": "a"}\n\n{"run_name": "b"}\r\n{"run_name": "c"}'


def ignore(count: int) -> None:
    """Do not count."""


def told(stored: ByteSource) -> list[tuple[str, int, bytes]]:
    found = list(lines(stored))
    assert all(isinstance(line, Line) for line in found)
    return [(line.origin.source, line.origin.line, line.raw) for line in found if isinstance(line, Line)]


@contextmanager
def standard_input(descriptor: int) -> Iterator[None]:
    """Put a descriptor in the place of standard input."""
    before = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


@contextmanager
def piped(text: bytes) -> Iterator[None]:
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    with standard_input(reading):
        os.close(reading)
        yield


def test_what_was_read_is_there_again_line_for_line(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCOPE)
    with piped(TEXT):
        first = told(spool.standard_input(ignore))
    assert [number for _, number, _ in first] == [1, 3, 4]
    [leftover] = Spool(tmp_path, SCOPE).leftovers(ignore)
    assert told(leftover) == first
    assert {source for source, _, _ in first} == {"-"}


def test_a_block_is_in_the_file_before_it_is_given_out(tmp_path: Path) -> None:
    spool = Spool(tmp_path, SCOPE)
    with piped(TEXT):
        blocks = spool.standard_input(ignore).blocks(65_536)
        block = next(blocks)
        [file] = tmp_path.rglob("stdin-*.jsonl")
        assert file.read_bytes() == block == TEXT
        blocks.close()  # type: ignore[attr-defined]


def test_a_redirected_file_is_kept_as_well(tmp_path: Path) -> None:
    (tmp_path / "runs.jsonl").write_bytes(TEXT)
    with (tmp_path / "runs.jsonl").open("rb") as file, standard_input(file.fileno()):
        first = told(Spool(tmp_path, SCOPE).standard_input(ignore))
    [leftover] = Spool(tmp_path, SCOPE).leftovers(ignore)
    assert told(leftover) == first


def test_it_is_known_of_what_is_left_whether_its_end_was_seen(tmp_path: Path) -> None:
    with piped(TEXT):
        told(Spool(tmp_path, SCOPE).standard_input(ignore))
    assert not Spool(tmp_path, SCOPE).is_cut
    with piped(TEXT):
        next(Spool(tmp_path, SCOPE).standard_input(ignore).blocks(7))
    assert Spool(tmp_path, SCOPE).is_cut
    assert not Spool(tmp_path, OTHER).is_cut


def test_every_byte_is_counted_and_the_size_of_a_leftover_is_known(tmp_path: Path) -> None:
    counts: list[int] = []
    spool = Spool(tmp_path, SCOPE)
    with piped(TEXT):
        list(spool.standard_input(counts.append).blocks(7))
    assert sum(counts) == len(TEXT)
    assert [stored.size for stored in spool.leftovers(ignore)] == [len(TEXT)]


def test_leftovers_come_oldest_first_and_only_to_their_batch(tmp_path: Path) -> None:
    for text in (b"{}\n", b'{"run_name": "later"}\n'):
        with piped(text):
            told(Spool(tmp_path, SCOPE).standard_input(ignore))
    assert [told(stored)[0][2] for stored in Spool(tmp_path, SCOPE).leftovers(ignore)] == [
        b"{}",
        b'{"run_name": "later"}',
    ]
    assert Spool(tmp_path, OTHER).leftovers(ignore) == []


def test_their_order_is_that_of_the_processes_whatever_the_wall_clock_says(tmp_path: Path) -> None:
    with piped(b"1"):
        told(Spool(tmp_path, SCOPE).standard_input(ignore))
    [first] = tmp_path.rglob("stdin-*.jsonl")
    number, later = re.fullmatch(r"(stdin-n\d+-)\d{8}(T.*)", first.name).groups()  # type: ignore[union-attr]
    first.rename(first.with_name(f"{number}99991231{later}"))  # the clock was ahead, and is set back now
    first.with_name("stdin-20261125T120000.000000Z-7.jsonl").write_bytes(b"0")  # as older versions named it
    with piped(b"2"):
        told(Spool(tmp_path, SCOPE).standard_input(ignore))
    assert [told(stored)[0][2] for stored in Spool(tmp_path, SCOPE).leftovers(ignore)] == [b"0", b"1", b"2"]


def test_only_what_was_given_out_is_forgotten(tmp_path: Path) -> None:
    """Another process may begin to keep its input while this one clears up."""
    mine, other = Spool(tmp_path, SCOPE), Spool(tmp_path, SCOPE)
    with piped(TEXT):
        told(mine.standard_input(ignore))
    with piped(b'{"run_name": "of another"}'):
        told(other.standard_input(ignore))
    mine.clear()
    [left] = Spool(tmp_path, SCOPE).leftovers(ignore)
    assert told(left)[0][2] == b'{"run_name": "of another"}'
    next_run = Spool(tmp_path, SCOPE)
    next_run.leftovers(ignore)
    next_run.clear()
    assert next_run.is_empty


def test_the_files_are_private(tmp_path: Path) -> None:
    with piped(TEXT):
        told(Spool(tmp_path, SCOPE).standard_input(ignore))
    [file] = tmp_path.rglob("stdin-*.jsonl")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_where_it_cant_be_kept_nothing_counts_as_read(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file where the folder should be")
    with piped(TEXT), pytest.raises(SpoolError, match="--no-spool"):
        next(iter(Spool(tmp_path, SCOPE).standard_input(ignore).blocks(65_536)))


KILLED_READER = """
import os, signal, sys
from pathlib import Path
from ingestor.policy.identity import Scope
from ingestor.sources.spool import Spool

scope = Scope(*sys.argv[2:])
for number, block in enumerate(Spool(Path(sys.argv[1]), scope).standard_input(lambda count: None).blocks(4096)):
    if number == 10:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_reader_has_lost_nothing_that_left_the_pipe(tmp_path: Path) -> None:
    text = b"".join(json.dumps({"run_name": f"run {number}"}).encode() + b"\n" for number in range(20_000))
    reading, writing = os.pipe()
    command = [sys.executable, "-c", KILLED_READER, str(tmp_path), SCOPE.platform, SCOPE.workspace, SCOPE.batch]
    reader = subprocess.Popen(command, stdin=reading)
    written = 0
    os.set_blocking(writing, False)
    while reader.poll() is None:
        try:
            written += os.write(writing, text[written : written + 65_536])
        except BlockingIOError:
            continue
    os.close(writing)
    with os.fdopen(reading, "rb") as left:
        left_in_the_pipe = left.read()
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("stdin-*.jsonl"))
    assert len(kept) >= 10 * 4096
    assert kept + left_in_the_pipe == text[:written]
