import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.record import Line, Origin, Reject
from ingestor.sources.byte_source import ByteSource, DamagedSourceError
from ingestor.sources.lines import LONGEST
from tests.sources.reading import lines

BOM = b"\xef\xbb\xbf"


class Blocks(ByteSource):
    """An input that comes in the given blocks, and then ends or breaks."""

    def __init__(self, blocks: Iterable[bytes], broken: str = "") -> None:
        super().__init__("blocks", lambda _: None)
        self._given = blocks
        self._broken = broken

    def blocks(self, size: int) -> Iterator[bytes]:
        yield from self._given
        if self._broken:
            raise DamagedSourceError(self._broken)


def chop(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut `content` into blocks of `sizes`, the last of which comes again and again."""
    start = 0
    while start < len(content):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        yield content[start : start + size]
        start += size


def read(*blocks: bytes) -> list[tuple[int, bytes]]:
    found = list(lines(Blocks(blocks)))
    assert all(isinstance(line, Line) and not line.cut for line in found)
    return [(line.origin.line, line.raw) for line in found if isinstance(line, Line)]


TEXTS = st.lists(st.binary(max_size=12).map(lambda text: b"x" + text.replace(b"\n", b"").rstrip(b"\r")))


@given(TEXTS, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.lists(st.integers(1, 9), min_size=1))
def test_lines_are_the_same_whatever_their_ends_and_the_size_of_blocks(
    texts: list[bytes], end: bytes, ended: bool, sizes: list[int]
) -> None:
    content = end.join(texts) + (end if ended else b"")
    assert read(*chop(content, sizes)) == list(enumerate(texts, 1))


@given(st.binary(), st.lists(st.integers(1, 9), min_size=1))
def test_the_size_of_blocks_shows_in_nothing(content: bytes, sizes: list[int]) -> None:
    assert read(*chop(content, sizes)) == read(content)


def test_blank_lines_are_skipped_and_counted() -> None:
    assert read(b"a\n\n \t\r\n\r\nb\n") == [(1, b"a"), (5, b"b")]


def test_an_empty_input_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "empty.jsonl"
    path.touch()
    assert list(lines(ByteSource(str(path), lambda _: None))) == []


def test_a_line_tells_where_it_stood() -> None:
    (line,) = lines(Blocks([b"\na"]))
    assert line.origin == Origin("blocks", 2)


def test_a_bom_is_dropped_at_the_start_only() -> None:
    assert read(BOM + b"a\n" + BOM + b"b\n") == [(1, b"a"), (2, BOM + b"b")]


def test_a_bom_that_comes_in_pieces_is_dropped() -> None:
    assert read(BOM[:1], BOM[1:2], BOM[2:] + b"a") == [(1, b"a")]


def test_an_input_of_nothing_but_a_bom_is_empty() -> None:
    assert read(BOM) == []


def test_one_carriage_return_belongs_to_the_end_of_a_line() -> None:
    assert read(b"a\rb\r\r\n") == [(1, b"a\rb\r")]


def test_a_nul_byte_is_left_to_whoever_parses() -> None:
    assert read(b"a\0b\n\0\n") == [(1, b"a\0b"), (2, b"\0")]


@pytest.mark.parametrize("size", [5_000, 65_536, 100 * LONGEST])
def test_an_overlong_line_is_cut_and_the_next_is_whole(size: int) -> None:
    content = b"before\n" + b"y" * (LONGEST + 200_000) + b"\nafter\n"
    before, long, after = lines(Blocks(chop(content, [size])))
    assert isinstance(long, Line)
    assert (len(long.raw), long.cut, long.origin.line) == (LONGEST, True, 2)
    assert (before, after) == (Line(Origin("blocks", 1), b"before"), Line(Origin("blocks", 3), b"after"))


def test_an_overlong_line_at_the_end_is_cut() -> None:
    (line,) = lines(Blocks([b"y" * LONGEST, b"y"]))
    assert isinstance(line, Line)
    assert (len(line.raw), line.cut) == (LONGEST, True)


@pytest.mark.parametrize("start", [b"", BOM])
def test_the_longest_line_is_whole_whatever_stands_around_it(start: bytes) -> None:
    (line,) = lines(Blocks([start, b"y" * LONGEST, b"\r", b"\n"]))
    assert isinstance(line, Line)
    assert (len(line.raw), line.cut) == (LONGEST, False)


@pytest.mark.parametrize("start", [b"", BOM])
def test_a_carriage_return_inside_an_overlong_line_does_not_hide_that_it_was_cut(start: bytes) -> None:
    for inside in range(6):
        (line,) = lines(Blocks([start, b"y" * (LONGEST + inside), b"\r", b"y" * 9]))
        assert isinstance(line, Line)
        assert line.cut


def test_memory_is_bounded_however_long_a_line_is() -> None:
    block = b"y" * 262_144
    tracemalloc.start()
    try:
        (line,) = lines(Blocks(block for _ in range(1000)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(line, Line)
    assert line.cut
    assert peak < 4 * LONGEST


def test_a_break_ends_in_a_reject_that_holds_what_was_begun() -> None:
    whole, broken = lines(Blocks([b"whole\nbeg", b"un\xff"], broken="the disk is gone"))
    assert whole == Line(Origin("blocks", 1), b"whole")
    assert isinstance(broken, Reject)
    assert broken.origin == Origin("blocks", 2)
    assert broken.text == r"begun\xff"
    assert broken.reason == "reading ended here: the disk is gone; the lines before were taken in"
