import random

import pytest

from ingestor.model.events import InputRead
from ingestor.report.total import SMALLEST_SAMPLE, TotalEstimate


def totals(*events: InputRead) -> list[int | None]:
    """Return the totals that a person sees, each as often as it changes."""
    estimate = TotalEstimate()
    seen: list[int | None] = []
    for event in events:
        estimate.read(event)
        if not seen or seen[-1] != estimate.total:
            seen.append(estimate.total)
    return seen


def chunks(sizes: list[int], *, ahead: int = 0, skipped: int = 0) -> list[InputRead]:
    """Return the events of 600 records a chunk. `ahead`: bytes that were read already when the chunk is reported."""
    total = skipped + sum(sizes)
    events, at = [], skipped
    for begin in range(0, len(sizes), 600):
        part = sizes[begin : begin + 600]
        at += sum(part)
        events.append(InputRead(len(part), min(at + ahead, total), total, "runs.jsonl", None, 0, sum(part)))
    return events


def test_equal_records_have_one_total_from_the_first_chunk_to_the_last() -> None:
    assert totals(*chunks([100] * 20_000)) == [20_000]


@pytest.mark.parametrize("seed", range(5))
def test_records_of_different_sizes_give_a_steady_total(seed: int) -> None:
    chance = random.Random(seed)
    sizes = [chance.choice([60, 80, 100, 3_000]) for _ in range(20_000)]
    seen = totals(*chunks(sizes))
    assert seen[-1] == 20_000
    assert all(total is not None and abs(total - 20_000) <= 3_000 for total in seen)
    assert len(seen) <= 3


def test_a_total_that_must_change_moves_in_one_direction() -> None:
    small_then_large = [50] * 10_000 + [500] * 10_000
    seen = [total for total in totals(*chunks(small_then_large)) if total is not None]
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 20_000


def test_a_reading_that_continues_in_the_middle_of_a_file_does_not_count_what_it_leaves_out() -> None:
    events = chunks([100] * 2_000, skipped=1_800_000)
    assert totals(*events) == [2_000]


def test_a_total_is_rounded_until_everything_is_read() -> None:
    first, *_, last = chunks([100] * 12_345)
    estimate = TotalEstimate()
    estimate.read(first)
    assert (estimate.total, estimate.is_exact) == (12_000, False)
    estimate.read(InputRead(12_345 - 600, last.read_bytes, last.total_bytes, "runs.jsonl", None, 0, 1_174_500))
    assert (estimate.total, estimate.is_exact) == (12_345, True)


def test_a_few_records_are_no_sample() -> None:
    few = InputRead(SMALLEST_SAMPLE - 1, 1_000, 50_000, "a.json", None, 0, 1_000)
    assert totals(few) == [None]
    assert totals(few, InputRead(1, 1_020, 50_000, "b.json", None, 0, 20)) == [None, 2_500]


def test_the_total_is_never_less_than_what_was_read() -> None:
    estimate = TotalEstimate()
    for event in chunks([100] * 14_400):
        estimate.read(event)
        assert estimate.total is not None
        assert estimate.total >= estimate._records


def test_records_that_the_journal_kept_are_no_sample() -> None:
    kept = InputRead(1_000, 0, 200_000)
    assert totals(kept, *chunks([100] * 2_000))[-1] == 3_000
    assert totals(kept, chunks([100] * 2_000)[0])[-1] == 3_000
