import tracemalloc
from collections.abc import Iterable, Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.record import Line, Origin, Reject
from ingestor.sources.errors import DamagedSourceError
from ingestor.sources.lines import LONGEST, MOST_LINES, LineSplitter, damage, to_lines

BOM = b"\xef\xbb\xbf"


def lines(blocks: Iterable[bytes]) -> Iterator[Line]:
    """Cut blocks into lines."""
    splitter = LineSplitter()
    for block in blocks:
        yield from chain.from_iterable(to_lines("blocks", *portion[:2]) for portion in splitter.split(block))
    yield from to_lines("blocks", splitter.line, [splitter.rest()])


def chop(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Cut `content` into blocks of `sizes`; the last size is repeated."""
    start = 0
    while start < len(content):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        yield content[start : start + size]
        start += size


def read(*blocks: bytes) -> list[tuple[int, bytes]]:
    found = list(lines(blocks))
    assert not any(line.cut for line in found)
    return [(line.origin.line, line.raw) for line in found]


TEXTS = st.lists(st.binary(max_size=12).map(lambda text: b"x" + text.replace(b"\n", b"").rstrip(b"\r")))


@given(TEXTS, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.lists(st.integers(1, 9), min_size=1))
def test_lines_are_the_same_for_all_line_ends_and_sizes_of_blocks(
    texts: list[bytes], end: bytes, ended: bool, sizes: list[int]
) -> None:
    content = end.join(texts) + (end if ended else b"")
    assert read(*chop(content, sizes)) == list(enumerate(texts, 1))


@given(st.binary(), st.lists(st.integers(1, 9), min_size=1))
def test_the_size_of_blocks_changes_nothing(content: bytes, sizes: list[int]) -> None:
    assert read(*chop(content, sizes)) == read(content)


def test_blank_lines_are_skipped_and_counted() -> None:
    assert read(b"a\n\n \t\r\n\r\nb\n") == [(1, b"a"), (5, b"b")]


def test_an_empty_input_has_no_lines() -> None:
    assert read() == read(b"") == []


def test_a_line_has_its_place() -> None:
    (line,) = lines([b"\na"])
    assert line.origin == Origin("blocks", 2)


def test_a_bom_is_dropped_at_the_start_of_every_line_and_nowhere_else() -> None:
    """`cat` puts files with a mark one after the other, and empty ones too."""
    assert read(BOM + b"a\n" + BOM + b"b\n" + BOM + BOM + b"c\nd" + BOM) == [
        (1, b"a"),
        (2, b"b"),
        (3, b"c"),
        (4, b"d" + BOM),
    ]


def test_a_line_of_nothing_but_a_bom_is_blank() -> None:
    assert read(b"a\n" + BOM + b"\r\n" + BOM + b" \nb\n") == [(1, b"a"), (4, b"b")]


def test_a_bom_that_comes_in_pieces_is_dropped() -> None:
    assert read(BOM[:1], BOM[1:2], BOM[2:] + b"a") == [(1, b"a")]


def test_an_input_of_nothing_but_a_bom_is_empty() -> None:
    assert read(BOM) == []


def test_one_carriage_return_belongs_to_the_end_of_a_line() -> None:
    assert read(b"a\rb\r\r\n") == [(1, b"a\rb\r")]


def test_a_nul_byte_is_left_to_the_parser() -> None:
    assert read(b"a\0b\n\0\n") == [(1, b"a\0b"), (2, b"\0")]


@pytest.mark.parametrize("size", [5_000, 65_536, 100 * LONGEST])
def test_a_too_long_line_is_cut_and_the_next_is_whole(size: int) -> None:
    content = b"before\n" + b"y" * (LONGEST + 200_000) + b"\nafter\n"
    before, long, after = lines(chop(content, [size]))
    assert (len(long.raw), long.cut, long.origin.line) == (LONGEST, True, 2)
    assert (before, after) == (Line(Origin("blocks", 1), b"before"), Line(Origin("blocks", 3), b"after"))


def test_a_too_long_line_at_the_end_is_cut() -> None:
    (line,) = lines([b"y" * LONGEST, b"y"])
    assert (len(line.raw), line.cut) == (LONGEST, True)


@pytest.mark.parametrize("start", [b"", BOM, b"\n" + BOM])
def test_the_longest_line_is_complete_with_any_text_around_it(start: bytes) -> None:
    (line,) = lines([start, b"y" * LONGEST, b"\r", b"\n"])
    assert (len(line.raw), line.cut) == (LONGEST, False)


@pytest.mark.parametrize("start", [b"", BOM])
def test_a_carriage_return_inside_a_too_long_line_does_not_hide_that_it_was_cut(start: bytes) -> None:
    for inside in range(6):
        (line,) = lines([start, b"y" * (LONGEST + inside), b"\r", b"y" * 9])
        assert line.cut


def test_memory_is_bounded_however_long_a_line_is() -> None:
    block = b"y" * 262_144
    tracemalloc.start()
    try:
        (line,) = lines(block for _ in range(1000))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert line.cut
    assert peak < 4 * LONGEST


def test_damage_is_a_reject_that_holds_what_was_begun() -> None:
    splitter = LineSplitter()
    portions = [portion for block in (b"whole\nbeg", b"un\xff") for portion in splitter.split(block)]
    assert portions == [(1, [b"whole"], 6)]
    reject = damage(Origin("blocks", splitter.line), DamagedSourceError("the disk is gone"), splitter.rest())
    reason = "reading ended here: the disk is gone; the lines before this one were read"
    assert reject == Reject(Origin("blocks", 2), reason, r"begun\xff", is_damage=True)


@given(st.binary().map(lambda content: content.replace(b"a", b"\n")), st.lists(st.integers(1, 9), min_size=1))
def test_the_end_of_a_portion_is_where_its_last_line_ends_in_the_block(content: bytes, sizes: list[int]) -> None:
    splitter, base, number = LineSplitter(), 0, 1
    for block in chop(content, sizes):
        for first, texts, end in splitter.split(block):
            assert first == number
            number += len(texts)
            assert content[: base + end].split(b"\n") == [*content.split(b"\n")[: number - 1], b""]
        base += len(block)
    assert content.split(b"\n")[-1] == splitter.rest()


def test_a_portion_has_a_bounded_number_of_lines() -> None:
    portions = list(LineSplitter().split(b"x\n" * (2 * MOST_LINES + 1)))
    assert [(first, len(texts), end) for first, texts, end in portions] == [
        (1, MOST_LINES, 2 * MOST_LINES),
        (MOST_LINES + 1, MOST_LINES, 4 * MOST_LINES),
        (2 * MOST_LINES + 1, 1, 4 * MOST_LINES + 2),
    ]
