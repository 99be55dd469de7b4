import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from ingestor.report.text import json_line, json_lines, spell_duration, spell_rate, spell_size, spreadsheet_cell

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too


@given(ANY_TEXT)
def test_a_json_line_is_one_line_of_ascii_that_reads_back_the_same(text: str) -> None:
    line = json_line({"text": text})
    assert line.isascii()
    assert line.endswith(b"\n")
    assert line.splitlines() == [line[:-1]]
    assert json.loads(line) == {"text": text}


class Row(Struct, omit_defaults=True):
    name: str
    number: int = 0
    text: str | None = None


@given(ANY_TEXT, st.lists(st.builds(Row, ANY_TEXT, st.integers(-(2**70), 2**70), st.none() | ANY_TEXT)))
def test_json_lines_are_the_json_line_of_each(head: str, rows: list[Row]) -> None:
    members = [
        {"head": head, "name": row.name}
        | ({"number": row.number} if row.number else {})
        | ({} if row.text is None else {"text": row.text})
        for row in rows
    ]
    assert json_lines({"head": head}, rows) == b"".join(map(json_line, members))


def test_the_delete_character_is_escaped_too() -> None:
    assert json_line({"a": "\x7f"}) == b'{"a":"\\u007f"}\n'
    assert json_lines({"a": "b"}, [Row("\x7f")]) == b'{"a":"b","name":"\\u007f"}\n'


def test_durations_are_spelled_in_their_two_largest_units() -> None:
    spelled = [spell_duration(seconds) for seconds in (0, 0.44, 59.94, 59.96, 65, 3599.4, 3599.6, 7380, 360_000)]
    assert spelled == [
        "0.0 s",
        "0.4 s",
        "59.9 s",
        "1 min 00 s",
        "1 min 05 s",
        "59 min 59 s",
        "1 h 00 min",
        "2 h 03 min",
        "100 h 00 min",
    ]


def test_small_rates_have_one_decimal() -> None:
    assert [spell_rate(rate) for rate in (0, 3.44, 127.3, 12_345)] == ["0.0/s", "3.4/s", "127/s", "12,345/s"]


def test_sizes_have_three_digits_or_so() -> None:
    assert [spell_size(size) for size in (0, 1, 1023, 1536, 5 * 1024**2, 3 * 1024**3, 7 * 1024**4)] == [
        "0 bytes",
        "1 byte",
        "1,023 bytes",
        "1.5 KiB",
        "5.0 MiB",
        "3.0 GiB",
        "7.0 TiB",
    ]


@pytest.mark.parametrize("first", list("=+-@\t\r\n"))
def test_a_cell_that_a_spreadsheet_would_take_for_a_formula_gets_an_apostrophe(first: str) -> None:
    assert spreadsheet_cell(f"{first}cmd|' /C calc'!A0") == f"'{first}cmd|' /C calc'!A0"


@pytest.mark.parametrize("value", ["run-1", "", "a=b", " =1", 5, -5, None, "'=1"])
def test_other_cells_stay_as_they_are(value: object) -> None:
    assert spreadsheet_cell(value) == value
