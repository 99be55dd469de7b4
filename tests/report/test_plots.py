"""The plots are judged as the document that a browser gets: well-formed, complete, in words too, and bounded."""

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import inf, nan

from hypothesis import given
from hypothesis import strategies as st

from ingestor.report.html.axes import spell_seconds
from ingestor.report.html.charts import charts, plots
from ingestor.report.html.plots import Plot, Series, describe, figure, svg, table

BEGIN = 1_795_867_200.0  # 2026-11-28, 12:00 UTC


def plot(*lines: Sequence[float], step: float = 1.0, pauses: Sequence[tuple[float, float]] = ()) -> Plot:
    times = [BEGIN + number * step for number in range(max(map(len, lines), default=0))]
    named = tuple(Series(f"line {number}", values) for number, values in enumerate(lines, 1))
    return Plot(key="rate", title="Requests a second", times=times, series=named, pauses=pauses)


def parsed(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314 - our own text


def texts(text: str) -> list[str]:
    return ["".join(it.itertext()) for it in parsed(text).iter("text")]


def paths(text: str, kind: str = "line") -> list[str]:
    return [it.attrib["d"] for it in parsed(text).iter("path") if it.attrib["class"].rpartition(" ")[0] == kind]


def points(path: str) -> list[tuple[int, int]]:
    numbers = [int(it) for it in re.findall(r"-?\d+", path)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def test_without_points_it_says_so_in_the_picture_and_in_words() -> None:
    empty = plot((), ())
    assert texts(svg(empty)) == ["no values yet"]
    assert paths(svg(empty)) == []
    assert describe(empty) == "There are no values yet."
    assert parsed(figure(empty)).tag == "figure"
    assert parsed(figure(replace(empty, series=()))).tag == "figure"


def test_one_point_is_a_dot_that_can_be_seen() -> None:
    one = svg(plot((5.0,)))
    assert points(paths(one, "line dot")[0])[0][0] == 500
    assert "line 15" in texts(one)


def test_a_line_goes_from_edge_to_edge_and_ends_with_its_name_and_value() -> None:
    drawn = svg(plot((0.0, 50.0, 100.0), (100.0, 100.0, 3.25)))
    second, first = paths(drawn)  # the first line is drawn last, above the others
    assert points(first) == [(0, 1000), (0, 1000), (500, 500), (1000, 0)]
    assert points(second)[-1][0] == 1000
    assert {"line 1100", "line 23.25"} <= set(texts(drawn))


def test_many_points_become_a_bounded_picture_that_keeps_each_peak() -> None:
    values = [float(number % 7) for number in range(50_000)]
    values[31_234] = 15.0
    drawn = svg(plot(values, step=60))
    assert len(drawn) < 15_000
    (path,) = paths(drawn)
    assert min(y for _, y in points(path)) == 0
    assert len(points(path)) <= 602


def test_unknown_values_interrupt_the_line_but_a_single_late_sample_does_not() -> None:
    (path,) = paths(svg(plot((1.0, 2.0, nan, inf, 3.0, 4.0))))
    assert path.count("M") == 2
    drawn = svg(plot((1.0, nan, nan, 2.0)))
    assert paths(drawn) == []
    assert paths(drawn, "line dot")[0].count("M") == 2
    (path,) = paths(svg(plot((1.0, 2.0, nan, 3.0, 4.0))))
    assert path.count("M") == 1
    assert len(points(path)) == 5, "a start and the four known values"


def test_one_huge_peak_is_named_and_leaves_the_others_readable() -> None:
    values = [0.1] * 300
    values[100] = 29.0
    drawn = svg(replace(plot(values), spell=spell_seconds))
    assert "▲ 29 s at 12:01:40" in texts(drawn)
    (path,) = paths(drawn)
    assert points(path)[1][1] <= 700, "the others are well above the bottom"
    assert "most 29 s" in describe(replace(plot(values), spell=spell_seconds))


def test_pauses_are_marked_with_a_word_and_named_in_words() -> None:
    paused = plot([5.0] * 100, pauses=[(BEGIN - 100, BEGIN - 50), (BEGIN + 20, BEGIN + 40)])
    assert texts(svg(paused)).count("paused") == 1
    assert "Paused: 12:00:20 to 12:00:40." in describe(paused)
    many = plot([5.0] * 100, pauses=[(BEGIN + n * 10, BEGIN + n * 10 + 5) for n in range(8)])
    assert texts(svg(many)).count("‖") == 8
    assert "and 3 more" in describe(many)


def test_lines_that_end_at_the_same_value_have_labels_that_do_not_overlap() -> None:
    labels = [
        it
        for it in parsed(svg(plot([1.0] * 5, [1.0] * 5, [1.0] * 5, [1.0] * 5))).iter("text")
        if "label" in it.attrib.get("class", "")
    ]
    places = sorted(float(it.attrib["y"]) for it in labels)
    assert len(places) == 4
    assert min(b - a for a, b in pairwise(places)) >= 24
    assert 0 < places[0] < places[-1] < 168


def test_the_words_say_the_last_the_least_and_the_most() -> None:
    assert describe(plot((3.0, 1.0, 9.0, 2.0))) == (
        "From Nov 28 12:00:00 to Nov 28 12:00:03 UTC. line 1: last 2, least 1, most 9."
    )


def test_the_table_has_a_dozen_rows_with_the_means_and_heads_for_both_directions() -> None:
    rows = list(parsed(table(plot([float(n) for n in range(1, 25)]))).iter("tr"))
    assert len(rows) == 13
    assert [cell.text for cell in rows[1]] == ["12:00:00", "1.5"]
    assert {cell.attrib.get("scope") for row in rows for cell in row.iter("th")} == {"col", "row"}
    assert len(list(parsed(table(plot([1.0] * 50_000))).iter("tr"))) == 13


def test_names_are_text_and_nothing_needs_an_exception_from_a_strict_content_security_policy() -> None:
    hostile = "</svg><script>alert(1)</script>\"'"
    text = figure(Plot(key=hostile, title=hostile, times=[BEGIN], series=[Series(hostile, [1.0])]))
    assert parsed(text).find(".//script") is None
    for element in parsed(figure(plot([1.0, 2.0], [3.0, nan], pauses=[(BEGIN, BEGIN + 1)]))).iter():
        assert element.tag not in {"script", "style", "image", "use", "a"}
        assert not {name for name in element.attrib if name == "style" or name.startswith("on") or "href" in name}


@given(
    st.lists(st.lists(st.floats(), min_size=4, max_size=4), max_size=4),
    st.floats(0.001, 1e6),
)
def test_any_values_make_a_picture_whose_points_are_inside(lines: list[list[float]], step: float) -> None:
    text = figure(plot(*lines, step=step))
    assert "nan" not in text
    for kind in ("line", "line dot"):
        assert all(0 <= it <= 1000 for path in paths(text, kind) for point in points(path) for it in point)


def test_the_history_becomes_four_plots_with_its_pauses_and_gaps() -> None:
    values: dict[str, list[float | None]] = {
        "accepted": [10.0, 0.0, 0.0, None],
        "allowed": [12.0, 12.0, None, None],
        "latency_p50": [40.0, None, None, 50.0],
        "backlog": [1.0, 2.0, 3.0, 4.0],
        "paused": [0.2, 1.0, 0.9, None],
    }
    requests, latency, backlog, errors = plots(60, BEGIN, values)
    assert requests.pauses == ((BEGIN + 60, BEGIN + 180),)
    assert [line.name for line in requests.series] == ["accepted", "allowed", "refused"]
    assert latency.series[1].values[0] == 0.04
    assert backlog.known() == [1.0, 2.0, 3.0, 4.0]
    assert errors.known() == []
    assert len(list(parsed(f"<all>{charts(60, BEGIN, values)}</all>"))) == 4
    assert len(list(parsed(f"<all>{charts(1, BEGIN, {})}</all>"))) == 4
