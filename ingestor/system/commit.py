"""Which commit this program was made from, where that is known: nothing is guessed."""

import json
import re
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

PACKAGE = Path(__file__).parents[1]

_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LONGEST_REFERENCES = 10_000_000  # bytes


@cache
def commit() -> str | None:
    """Return the commit; None if it is not known.

    A build may have written it into the file `commit.txt` of the package; pip knows it of what it installed from a
    repository; a checkout has it.
    """
    return written_in(PACKAGE / "commit.txt") or _installed() or checked_out(PACKAGE.parent)


def written_in(path: Path) -> str | None:
    """Return the commit that a build has written into a file."""
    with suppress(OSError, ValueError):
        return _hash(path.read_text(encoding="ascii"))
    return None


def checked_out(root: Path) -> str | None:
    """Return the commit of a checkout with this root; None if it is none, or has no commit yet."""
    with suppress(OSError, ValueError):
        git = root / ".git"
        if git.is_file():  # a further working tree
            git = root / git.read_text().removeprefix("gitdir:").strip()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return _hash(head)
        shared = git / "commondir"
        common = git / shared.read_text().strip() if shared.is_file() else git
        return _referenced(common, head.removeprefix("ref: "))
    return None


def _referenced(git: Path, name: str) -> str | None:
    if (git / name).is_file():
        return _hash((git / name).read_text())
    packed = git / "packed-refs"
    if not packed.is_file() or packed.stat().st_size > _LONGEST_REFERENCES:
        return None
    lines = (line.partition(" ") for line in packed.read_text().splitlines())
    return next((_hash(found) for found, _, reference in lines if reference == name), None)


def _installed() -> str | None:
    """Return the commit that pip installed (https://packaging.python.org/specifications/direct-url/)."""
    with suppress(PackageNotFoundError, ValueError, AttributeError):
        origin = json.loads(distribution("ingestor").read_text("direct_url.json") or "{}")
        return _hash(str(origin.get("vcs_info", {}).get("commit_id", "")))
    return None


def _hash(text: str) -> str | None:
    return text.strip() if _HASH.fullmatch(text.strip()) else None
