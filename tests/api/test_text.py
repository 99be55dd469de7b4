from hypothesis import given
from hypothesis import strategies as st

from ingestor.api.text import MESSAGE_LIMIT, one_line


def test_a_plain_sentence_stays_as_it_is() -> None:
    assert one_line("No such experiment: Größe 7") == "No such experiment: Größe 7"


def test_terminal_escapes_lose_their_teeth() -> None:
    assert one_line("\x1b[31mred\x1b[0m\x07 \x9b2J") == "[31mred [0m 2J"


def test_white_space_of_all_kinds_becomes_one_space() -> None:
    assert one_line("  <html>\r\n\t<body>\u2028\xa0gone  ") == "<html> <body> gone"


def test_long_text_is_cut_with_an_ellipsis() -> None:
    assert one_line("x" * 501) == "x" * 499 + "…"
    assert one_line("x" * 500) == "x" * 500


def test_megabytes_of_blanks_are_not_read_through() -> None:
    assert one_line(" " * 10_000_000 + "late") == "…"


@given(st.text(st.characters(exclude_categories=())))
def test_any_text_becomes_one_bounded_printable_line_that_utf_8_can_hold(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= MESSAGE_LIMIT
    assert line.encode() is not None
