"""The page as text. tests/e2e/test_page.py opens it in a browser."""

import re

from ingestor.server.page import render

PAGE = render("n0nce")


def test_styles_and_script_have_the_nonce_and_all_parts_are_in_place() -> None:
    assert PAGE.count('nonce="n0nce"') == 2
    assert "{{" not in PAGE
    assert "--surface" in PAGE
    assert "function showStatus" in PAGE


def test_nothing_is_loaded_from_elsewhere() -> None:
    addresses = re.findall(r"""(?:src|href|action|url\()\s*=?\s*["']?([^"'\s>)]+)""", PAGE.partition("<script")[0])
    assert {it for it in addresses if not it.startswith("data:")} == {"status"}, "a relative link for who has no script"
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", PAGE) == []


def test_no_markup_is_made_of_data() -> None:
    script = PAGE.partition("<script")[2]
    assert (
        re.findall(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(|setTimeout\(['\"]", script
        )
        == []
    )
    assert " style=" not in PAGE
    assert not re.search(r"\son[a-z]+=", PAGE)
