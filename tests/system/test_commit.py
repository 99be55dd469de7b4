"""The commit that the program was made from, where that is known."""

import subprocess
from pathlib import Path

import pytest

from ingestor.system.commit import PACKAGE, checked_out, commit, written_in

HASH = "0123456789abcdef0123456789abcdef01234567"


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(("git", *identity, *words), cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "first")
    return tmp_path


def test_a_checkout_has_the_commit_of_its_branch_also_where_references_are_packed(checkout: Path) -> None:
    head = git(checkout, "rev-parse", "HEAD")
    assert checked_out(checkout) == head
    git(checkout, "pack-refs", "--all")
    assert checked_out(checkout) == head


def test_a_checkout_of_a_commit_without_a_branch_and_a_further_working_tree_have_theirs(checkout: Path) -> None:
    first = git(checkout, "rev-parse", "HEAD")
    git(checkout, "commit", "-q", "--allow-empty", "-m", "second")
    git(checkout, "worktree", "add", "-q", "-b", "other", str(checkout / "beside"), first)
    assert checked_out(checkout / "beside") == first
    git(checkout, "checkout", "-q", "--detach", first)
    assert checked_out(checkout) == first


def test_without_a_commit_nothing_is_claimed(tmp_path: Path) -> None:
    assert checked_out(tmp_path) is None
    git(tmp_path, "init", "-q")
    assert checked_out(tmp_path) is None
    assert written_in(tmp_path / "commit.txt") is None
    (tmp_path / "commit.txt").write_text("unknown\n")
    assert written_in(tmp_path / "commit.txt") is None


def test_a_build_can_write_it_down(tmp_path: Path) -> None:
    (tmp_path / "commit.txt").write_text(f"{HASH}\n")
    assert written_in(tmp_path / "commit.txt") == HASH


def test_this_program_knows_the_commit_of_its_checkout_if_it_is_one() -> None:
    assert commit() == checked_out(PACKAGE.parent)
