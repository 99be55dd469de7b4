"""Checkpoints never pass an open record, and reach the end once everything is done."""

from collections import defaultdict
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.sources import Checkpoint, Chunk, Source, SourceEnd
from ingestor.pipeline.acknowledgements import Acknowledgements, OpenChunk
from tests.support.records import jobs

A, B = Source("a.jsonl", "/data/a.jsonl"), Source("b.jsonl", "/data/b.jsonl")
PIPE = Source("-", None)


def chunk(source: Source | None, count: int, position: int | None, *, last: bool = False) -> Chunk:
    where = None if position is None else str(position)
    return Chunk(source, jobs(count), where, SourceEnd.COMPLETE if last else None)


def test_a_checkpoint_moves_once_a_chunk_and_all_before_it_are_done() -> None:
    acknowledgements = Acknowledgements()
    first, second = acknowledgements.open(chunk(A, 2, 2)), acknowledgements.open(chunk(A, 3, 5))
    acknowledgements.done(second, 3)
    acknowledgements.done(first)
    assert acknowledgements.take().checkpoints == []
    acknowledgements.done(first)
    assert acknowledgements.take().checkpoints == [Checkpoint(A, "5")]
    assert not acknowledgements.have_moved


def test_sources_move_on_their_own() -> None:
    acknowledgements = Acknowledgements()
    acknowledgements.open(chunk(A, 1, 1))
    acknowledgements.done(acknowledgements.open(chunk(B, 1, 1, last=True)))
    assert acknowledgements.take().checkpoints == [Checkpoint(B, "1", end=SourceEnd.COMPLETE)]


def test_an_empty_chunk_ends_a_source_once_all_before_it_is_done() -> None:
    acknowledgements = Acknowledgements()
    opened = acknowledgements.open(chunk(A, 1, 1))
    acknowledgements.open(chunk(A, 0, 1, last=True))
    assert not acknowledgements.have_moved
    acknowledgements.done(opened)
    assert acknowledgements.take().checkpoints == [Checkpoint(A, "1", end=SourceEnd.COMPLETE)]


def test_rejected_records_are_counted_from_where_the_source_starts_and_reported_once() -> None:
    acknowledgements = Acknowledgements([Checkpoint(A, "10", rejected=3)])
    first, second = acknowledgements.open(chunk(A, 2, 12)), acknowledgements.open(chunk(A, 1, 13))
    acknowledgements.rejected(second)
    acknowledgements.rejected(first)
    assert not acknowledgements.have_moved
    acknowledgements.done(first)
    moved = acknowledgements.take()
    assert (moved.checkpoints, moved.passes_rejects) == ([Checkpoint(A, "13", rejected=5)], True)
    acknowledgements.done(acknowledgements.open(chunk(A, 1, 14)))
    moved = acknowledgements.take()
    assert (moved.checkpoints, moved.passes_rejects) == ([Checkpoint(A, "14", rejected=5)], False)


def test_a_source_without_positions_has_a_checkpoint_at_its_end_alone() -> None:
    acknowledgements = Acknowledgements()
    acknowledgements.done(acknowledgements.open(chunk(PIPE, 1, None)))
    assert not acknowledgements.have_moved
    acknowledgements.open(chunk(PIPE, 0, None, last=True))
    assert acknowledgements.take().checkpoints == [Checkpoint(PIPE, end=SourceEnd.COMPLETE)]


def test_kept_records_need_no_checkpoint() -> None:
    acknowledgements = Acknowledgements()
    opened = acknowledgements.open(chunk(None, 2, None))
    acknowledgements.done(opened)
    acknowledgements.rejected(opened)
    assert opened is None
    assert not acknowledgements.have_moved


def test_chunks_that_are_done_after_an_open_one_take_no_memory() -> None:
    acknowledgements = Acknowledgements()
    head = acknowledgements.open(chunk(A, 1, 1))
    assert head is not None
    for position in range(2, 1000):
        acknowledgements.done(acknowledgements.open(chunk(A, 1, position)))
    assert head.after is None
    acknowledgements.done(head)
    assert acknowledgements.take().checkpoints == [Checkpoint(A, "999")]


@given(
    st.lists(st.tuples(st.sampled_from([A, B]), st.integers(0, 4)), max_size=20),
    st.integers(0, 10**6),
    st.floats(0.0, 1.0),
)
def test_in_any_order_of_ends_a_checkpoint_never_passes_an_open_record_and_reaches_the_end(
    sizes: list[tuple[Source, int]], seed: int, share_rejected: float
) -> None:
    random, acknowledgements = Random(seed), Acknowledgements()
    read: defaultdict[Source, int] = defaultdict(int)
    open_records: list[tuple[OpenChunk | None, Source, int, bool]] = []
    still_open: defaultdict[Source, set[int]] = defaultdict(set)
    rejected: defaultdict[Source, set[int]] = defaultdict(set)
    reached: dict[Source, Checkpoint] = {}

    def end_some(most: int) -> None:
        for _ in range(min(most, len(open_records))):
            opened, source, index, is_reject = open_records.pop(random.randrange(len(open_records)))
            still_open[source].discard(index)
            (acknowledgements.rejected if is_reject else acknowledgements.done)(opened)
        check()

    def check() -> None:
        moved = acknowledgements.take()
        for checkpoint in moved.checkpoints:
            source, position = checkpoint.source, int(checkpoint.position or 0)
            before = reached.get(source, Checkpoint(source))
            passed = {it for it in rejected[source] if int(before.position or 0) <= it < position}
            assert position >= int(before.position or 0)
            assert all(index >= position for index in still_open[source]), "it passed an open record"
            assert checkpoint.rejected == sum(index < position for index in rejected[source])
            assert moved.passes_rejects or not passed
            reached[source] = checkpoint

    for source, count in sizes:
        start = read[source]
        read[source] += count
        opened = acknowledgements.open(chunk(source, count, read[source]))
        for index in range(start, read[source]):
            is_reject = random.random() < share_rejected
            open_records.append((opened, source, index, is_reject))
            still_open[source].add(index)
            if is_reject:
                rejected[source].add(index)
        check()
        end_some(random.randrange(4))
    for source in read:
        acknowledgements.open(chunk(source, 0, read[source], last=True))
    end_some(len(open_records))
    assert {source: int(it.position or 0) for source, it in reached.items()} == read
    assert all(it.end is SourceEnd.COMPLETE for it in reached.values())
