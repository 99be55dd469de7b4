from pathlib import Path

import pytest

from tests.bench.readme import BEGIN, END, README, replaced, write


def test_only_what_stands_between_the_comments_is_replaced(tmp_path: Path) -> None:
    document = tmp_path / "README.md"
    document.write_text(f"before\n\n{BEGIN}\n\nold ä\n\n{END}\n\nafter\n", encoding="utf-8")

    write("new ö\n", document)

    assert document.read_text(encoding="utf-8") == f"before\n\n{BEGIN}\n\nnew ö\n\n{END}\n\nafter\n"


@pytest.mark.parametrize("document", ["", BEGIN, END, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}", f"{BEGIN}{END}{END}"])
def test_a_document_without_its_two_comments_is_left_alone(document: str) -> None:
    with pytest.raises(ValueError, match="needs one line"):
        replaced(document, "new")


def test_the_readme_has_its_two_comments_and_replacing_again_changes_nothing() -> None:
    once = replaced(README.read_text(encoding="utf-8"), "new")
    assert replaced(once, "new") == once
