"""The colours of page and report: readable in light, in dark and on paper."""

import re
from importlib.resources import files

import pytest

STYLE = files("ingestor.report.html").joinpath("style.css").read_text("utf-8")
LIGHT, DARK, PAPER = ("light", "dark", "paper")


def colours(scheme: str) -> dict[str, str]:
    """Return the variables with a colour. What a scheme does not set is that of the light one."""
    light, *others = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    blocks = {LIGHT: "", DARK: others[0], PAPER: others[1]}
    return dict(re.findall(r"--([a-z0-9]+): (#[0-9a-f]+);", light + blocks[scheme]))


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_the_contrast_of_black_on_white_is_21() -> None:
    assert contrast("#000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", [LIGHT, DARK, PAPER])
def test_all_text_has_a_contrast_of_4_5(scheme: str) -> None:
    found = colours(scheme)
    ratios = {
        (text, ground): contrast(found[text], found[ground])
        for text in ("text", "muted", "link", "good", "warn", "bad", "s1", "s2", "s3", "s4")
        for ground in ("surface", "page")
    }
    ratios |= {(text, "shade"): contrast(found[text], found["shade"]) for text in ("text", "muted")}
    ratios["surface", "s1"] = contrast(found["surface"], found["s1"])  # a button
    assert {pair: ratio for pair, ratio in ratios.items() if ratio < 4.5} == {}


def test_the_lines_of_a_plot_differ_in_more_than_colour() -> None:
    dashes = [re.search(rf"\.line\.s{number} \{{([^}}]*)\}}", STYLE) for number in (1, 2, 3, 4)]
    patterns = {match[1].partition("stroke-dasharray:")[2].partition(";")[0] for match in dashes if match}
    assert len(patterns) == 4
