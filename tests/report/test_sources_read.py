from dataclasses import replace

from ingestor.model.events import SourceCount
from ingestor.model.record import Origin, Reject
from ingestor.model.sources import SourceEnd
from ingestor.report.sources_read import MOST_SOURCES, SourcesRead
from tests.report.examples import read_of


def bad(source: str, *, whole: bool = False) -> Reject:
    return Reject(Origin(source, 1), "bad", "{", is_other_format=whole)


def count(source: str, records: int, rejected: int = 0, end: SourceEnd | None = SourceEnd.COMPLETE) -> SourceCount:
    return SourceCount(source=source, records=records, rejected=rejected, end=end)


def test_each_source_has_its_records_in_the_order_of_reading() -> None:
    sources = SourcesRead()
    for event in (read_of("b", 600, end=None), read_of("b", 12), read_of("a", 3), read_of("c", 0, end=None)):
        sources.read(event)
    sources.reject(bad("a"))
    sources.reject(bad("b"))
    assert sources.listed() == [count("b", 612, 1), count("a", 3, 1), count("c", 0, end=None)]


def test_what_is_followed_ends_once_all_input_was_read_to_its_end() -> None:
    sources = SourcesRead()
    for name, end in (("app.log", None), ("app.log.gz", SourceEnd.DAMAGED)):
        sources.read(replace(read_of(name, 2, end=end), is_followed=True))
    sources.read(read_of("runs.jsonl", 2, end=None))
    sources.end_followed()
    assert [it.end for it in sources.listed()] == [SourceEnd.COMPLETE, SourceEnd.DAMAGED, None]


def test_kept_records_belong_to_no_source_and_count_in_theirs_when_that_is_read() -> None:
    sources = SourcesRead()
    sources.read(read_of(None, 5, end=None))
    sources.read(read_of("a", 7, again=3))
    assert sources.listed() == [count("a", 10)]
    assert sources.kept == 5


def test_a_source_of_another_format_is_known_as_such() -> None:
    sources = SourcesRead()
    sources.read(read_of("a.csv", 1, SourceEnd.DAMAGED))
    sources.reject(bad("a.csv", whole=True))
    assert [it.is_other_format for it in sources.listed()] == [True]


def test_of_many_sources_those_with_trouble_are_listed_first() -> None:
    sources = SourcesRead()
    for number in range(30):
        sources.read(read_of(f"f{number}", 2, SourceEnd.DAMAGED if number == 25 else SourceEnd.COMPLETE))
    sources.reject(bad("f28"))
    shown = sources.listed(20)
    assert [it.source for it in shown] == ["f25", "f28", *[f"f{number}" for number in range(18)]]
    assert sources.rest_of(shown) == (10, 20, 0)


def test_memory_is_bounded_and_the_rest_is_counted() -> None:
    sources = SourcesRead()
    for number in range(3 * MOST_SOURCES):
        sources.read(read_of(f"f{number}", 2))
    assert len(sources) == 3 * MOST_SOURCES
    listed = sources.listed()
    assert len(listed) <= MOST_SOURCES + 1
    assert sources.others == len(sources) - len(listed)
    assert sum(it.records for it in listed) + sources.other_records == 6 * MOST_SOURCES


def test_beyond_the_bound_sources_with_trouble_are_kept_up_to_a_bound_of_their_own() -> None:
    sources = SourcesRead()
    for number in range(MOST_SOURCES):
        sources.read(read_of(f"fine{number}", 1))
    for number in range(3 * MOST_SOURCES):
        sources.read(read_of(f"bad{number}", 1))
        sources.reject(bad(f"bad{number}"))
    and_the_last = 1
    assert sum(it.rejected for it in sources.listed()) == MOST_SOURCES + and_the_last
    assert len(sources.listed()) == 2 * MOST_SOURCES
    assert sources.other_rejected == 2 * MOST_SOURCES - and_the_last


def test_a_reject_that_is_found_after_its_source_was_dropped_counts_among_the_others() -> None:
    sources = SourcesRead()
    for number in range(MOST_SOURCES + 2):
        sources.read(read_of(f"f{number}", 1))
    assert f"f{MOST_SOURCES}" not in {it.source for it in sources.listed()}
    sources.reject(bad(f"f{MOST_SOURCES}"))
    assert sources.other_rejected == 1


def test_many_followed_sources_that_are_read_in_turns_are_counted_once_each() -> None:
    sources = SourcesRead()
    for _ in range(3):
        for number in range(MOST_SOURCES + 500):
            sources.read(replace(read_of(f"{number}.log", 2, end=None), is_followed=True))
    assert len(sources) == MOST_SOURCES + 500
    assert (sources.others, sources.other_records) == (500, 3 * 2 * 500)
    assert {it.records for it in sources.listed()} == {6}
    sources.reject(bad(f"{MOST_SOURCES}.log"))
    assert sources.other_rejected == 1
