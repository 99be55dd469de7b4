from hypothesis import given
from hypothesis import strategies as st

from ingestor.model.text import MESSAGE_LIMIT, one_line, printable

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too


def test_a_plain_sentence_is_not_changed() -> None:
    assert one_line("No such experiment: Größe 7") == "No such experiment: Größe 7"


def test_terminal_escapes_become_harmless() -> None:
    assert one_line("\x1b[31mred\x1b[0m\x07 \x9b2J") == "[31mred [0m 2J"


def test_white_space_of_all_kinds_becomes_one_space() -> None:
    assert one_line("  <html>\r\n\t<body>\u2028\xa0gone  ") == "<html> <body> gone"


def test_long_text_is_cut_with_an_ellipsis() -> None:
    assert one_line("x" * 501) == "x" * 499 + "…"
    assert one_line("x" * 500) == "x" * 500


def test_only_the_beginning_of_megabytes_of_blanks_is_read() -> None:
    assert one_line(" " * 10_000_000 + "late") == "…"


@given(ANY_TEXT)
def test_any_text_becomes_one_bounded_printable_line_that_utf_8_can_hold(text: str) -> None:
    line = one_line(text)
    assert line.isprintable()
    assert len(line) <= MESSAGE_LIMIT
    assert line.encode() is not None


@given(ANY_TEXT, st.integers(3, 50))
def test_printable_text_is_one_line_without_control_characters(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit


def test_printable_shows_control_characters_as_escapes() -> None:
    assert printable("red \x1b[31m\r\nbell\x07 \x9b2J \u202eevil \udc80") == (
        "red \\x1b[31m\\r\\nbell\\x07 \\x9b2J \\u202eevil \\udc80"
    )


def test_printable_keeps_the_letters_of_every_language() -> None:
    assert printable("Größe: 実験 №5") == "Größe: 実験 №5"


def test_printable_marks_where_it_cut() -> None:
    assert printable("a" * 30, 10) == "aaaaaaaaa…"
    assert printable("a" * 10, 10) == "aaaaaaaaaa"
