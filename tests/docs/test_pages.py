"""The pages fit together: links lead somewhere, and every block of commands is marked or can be run."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, Block, anchors, blocks, links

MODULE = re.compile(r"`([a-z_]+/[a-z_/]+(?:\.py)?)`")
README_LINES = 200


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_to_a_heading_in_it(page: Path) -> None:
    for link in links(page):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        assert target.exists(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


def test_every_page_of_docs_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        paths = (link.partition("#")[0] for link in links(page) if not link.startswith("https://"))
        targets = ((page.parent / path).resolve() for path in paths if path.endswith(".md"))
        waiting += [target for target in targets if target not in reached]
    assert set(PAGES) <= reached


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    for name in MODULE.findall(page.read_text()):
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "ingestor")), f"{page.name}: {name}"


def test_each_word_stands_once_in_the_glossary() -> None:
    rows = [line for line in (ROOT / "docs" / "glossary.md").read_text().splitlines() if line.startswith("| ")]
    words = Counter(word for row in rows for word in row.split("|")[1].strip().split(", ") if word != "term")
    assert len(words) > 100
    assert [word for word, count in words.items() if count > 1] == []


def test_the_readme_stays_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_fence_is_a_block_with_a_language(page: Path) -> None:
    fences = sum(line.strip().startswith("```") for line in page.read_text().splitlines())
    found = list(blocks(page))
    assert fences == 2 * len(found)
    assert {block.language for block in found} <= {"sh", "python", "toml", "json", "yaml", "text"}


MANIFESTS = [block for page in PAGES for block in blocks(page) if block.language == "yaml"]


@pytest.mark.parametrize("block", MANIFESTS, ids=str)
def test_every_manifest_of_a_page_is_valid(block: Block, tmp_path: Path) -> None:
    (tmp_path / "manifest.yaml").write_text(block.code)
    program = Path(sys.executable).with_name("kubernetes-validate")
    command = [str(program), "-k", "1.33", "--strict", str(tmp_path / "manifest.yaml")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_block_that_is_not_run_has_a_reason() -> None:
    marked = [block for page in PAGES for block in blocks(page) if block.reason is not None]
    assert all(len(block.reason or "") > 10 for block in marked)
    assert {block.language for block in marked} <= {"sh"}
