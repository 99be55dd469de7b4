from pathlib import Path

import pytest

from tests.bench.table import BEGIN, CHECK_COLUMNS, END, PAGE, Check, Table, median_ratio, replaced, spread, write

TABLE = Table("Title", ("", "records/s"), [("bare loop", "2,000"), ("ours", "10")], note="A note.")


def test_a_terminal_gets_text_to_the_left_and_numbers_to_the_right() -> None:
    assert TABLE.as_text().splitlines() == [
        "Title",
        "",
        "           records/s",
        "---------  ---------",
        "bare loop      2,000",
        "ours              10",
        "A note.",
    ]


def test_the_page_gets_markdown() -> None:
    assert TABLE.as_markdown().splitlines() == [
        "**Title**",
        "",
        "|  | records/s |",
        "| --- | ---: |",
        "| bare loop | 2,000 |",
        "| ours | 10 |",
        "",
        "A note.",
    ]


def test_a_ratio_is_the_median_of_the_rounds_ratios_so_that_one_slow_round_changes_nothing() -> None:
    assert median_ratio([100, 10, 90], [50, 5, 900]) == 2


def test_different_numbers_of_rounds_have_no_ratio() -> None:
    with pytest.raises(ValueError, match="argument 2"):
        median_ratio([1, 2], [1])


def test_a_spread_shows_the_median_and_the_range() -> None:
    assert spread([3000, 1000, 1234.4]) == "1,234 (1,000-3,000)"


@pytest.mark.parametrize(
    ("value", "at_least", "is_met"),
    [(0.85, True, True), (0.849, True, False), (0.85, False, True), (0.851, False, False)],
)
def test_a_target_is_reached_from_its_own_side(value: float, at_least: bool, is_met: bool) -> None:
    assert Check("w", value, 0.85, at_least=at_least).is_met is is_met


def test_a_check_is_a_row_with_its_target() -> None:
    row = Check("again", 61_234.5, 50_000, unit="/s", by_cpu=7.0).row
    assert row == ("again", "61,234/s", "at least 50,000/s", "yes", "7.00/s")
    assert len(row) == len(CHECK_COLUMNS)


def test_a_check_without_a_measure_by_processor_time_leaves_that_cell_empty() -> None:
    assert Check("peak", 1.5, 1.1, at_least=False).row == ("peak", "1.50", "at most 1.10", "no", "")


def test_only_the_text_between_the_comments_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text(f"before\n\n{BEGIN}\n\nold ä\n\n{END}\n\nafter\n", encoding="utf-8")

    write("new ö\n", document)

    assert document.read_text(encoding="utf-8") == f"before\n\n{BEGIN}\n\nnew ö\n\n{END}\n\nafter\n"


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_document_without_its_two_comments_is_left_alone(document: str) -> None:
    with pytest.raises(ValueError, match="needs one line"):
        replaced(document, "new")


def test_the_page_has_its_two_comments_and_replacing_twice_gives_the_same() -> None:
    once = replaced(PAGE.read_text(encoding="utf-8"), "new")
    assert replaced(once, "new") == once
