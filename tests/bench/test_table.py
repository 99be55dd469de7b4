from tests.bench.table import Table

TABLE = Table("Title", ("", "records/s"), [("bare loop", "2,000"), ("ours", "10")], note="A note.")


def test_a_terminal_gets_words_to_the_left_and_figures_to_the_right() -> None:
    assert TABLE.as_text().splitlines() == [
        "Title",
        "",
        "           records/s",
        "---------  ---------",
        "bare loop      2,000",
        "ours              10",
        "A note.",
    ]


def test_the_readme_gets_markdown() -> None:
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
