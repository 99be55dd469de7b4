"""Pages of documentation: their blocks of code, headings and links."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])

_BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>[^\n]*?) -->\n)?^(?P<indent>[ ]*)```(?P<language>\w+)\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_NOT_RUN = "not run: "
_EXIT = re.compile(r"exit (\d+)")


@dataclass(frozen=True, slots=True)
class Block:
    """A block of code of a page.

    Attributes:
        page: its file.
        line: the number of its first line.
        language: what stands behind the fence.
        code: its text, without the indentation of the fence.
        reason: why it can't be run; None where it can.
        exit_code: how it ends.
    """

    page: Path
    line: int
    language: str
    code: str
    reason: str | None
    exit_code: int

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page. A comment above one says that it can't be run, or with which exit code it ends."""
    text = page.read_text()
    for found in _BLOCK.finditer(text):
        mark, indent = found["mark"] or "", found["indent"]
        code = "".join(line.removeprefix(indent) for line in found["code"].splitlines(keepends=True))
        exit_code = _EXIT.match(mark)
        yield Block(
            page=page,
            line=text.count("\n", 0, found.start("code")) + 1,
            language=found["language"],
            code=code,
            reason=mark.removeprefix(_NOT_RUN) if mark.startswith(_NOT_RUN) else None,
            exit_code=int(exit_code[1]) if exit_code else 0,
        )


def links(page: Path) -> list[str]:
    """Return the targets of all links of a page."""
    return _LINK.findall(_FENCED.sub("", page.read_text()))


def anchors(page: Path) -> set[str]:
    """Return the names under which the headings of a page can be linked to."""
    return {_anchor(heading) for heading in _HEADING.findall(_FENCED.sub("", page.read_text()))}


def _anchor(heading: str) -> str:
    text = re.sub(r"[^\w\- ]", "", heading.lower())
    return text.replace(" ", "-")
