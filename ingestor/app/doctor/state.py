"""The state directory and its journal. Nothing in it is created, locked or changed."""

import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingestor.app.doctor.finding import Finding, Grade, ok, problem, warning, worst
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.scope import require_state
from ingestor.journal.inspection import inspect
from ingestor.journal.lock import Holder, holder_of
from ingestor.journal.reader import has_journal
from ingestor.model.text import WHOLE, printable
from ingestor.report.text import spell_count, spell_size
from ingestor.system.mounts import IN_MEMORY, NETWORK, filesystem_of

LITTLE = 200 * 1024**2
"""Bytes that should be free: a journal has about 400 bytes for each record."""
TOO_LITTLE = 20 * 1024**2
"""Bytes with which no batch should begin."""

_LONGEST_LOOK = 8.0  # seconds to look for damage in a journal
_NETWORK = "On a network file system neither the lock nor the journal is safe."


def state(subject: Subject, _: Facts) -> Sequence[Finding]:
    """Report where the state directory is, who uses it, and what is wrong with its place or its rights."""
    options = subject.options
    require_state(options)
    path = options.state
    kind = filesystem_of(path)
    where = f"{printable(str(path.absolute()), WHOLE)} on {kind or 'an unknown file system'}"
    existing = next(it for it in (path, *path.absolute().parents) if it.exists())
    free = shutil.disk_usage(existing).free
    is_read_only = bool(os.statvfs(existing).f_flag & os.ST_RDONLY)
    found = list(of_place(existing, kind, free=free, is_allowed=options.allow_network_state, is_read_only=is_read_only))
    if is_read_only:
        return found
    if not path.exists():
        return [*found, *_of_parent(path)] or [ok(f"{where}: it does not exist yet, and a run creates it")]
    if not path.is_dir():
        return [problem(f"{where} is not a directory.", advice="Give another one with --state.")]
    found += _of_rights(path)
    if (holder := holder_if_known(path)) is not None:
        found.append(
            warning(
                f"It is in use by {holder.words}.",
                why="Another run ends with exit code 75 until that one has ended.",
                advice="Wait for it, or give another directory with --state.",
            )
        )
    return found if worst(found) is Grade.PROBLEM else [*found, ok(f"{where}, {spell_size(free)} free")]


def holder_if_known(path: Path) -> Holder | None:
    """Return which process uses a state directory; None, too, if this user may not know."""
    try:
        return holder_of(path)
    except OSError:
        return None


def journal(subject: Subject, _: Facts) -> Finding:
    """Report whether the journal is whole, and has a version that can be used."""
    path = subject.options.state
    if not has_journal(path):
        return ok("there is none yet")
    found = inspect(path, seconds=_LONGEST_LOOK)
    if found.damage:
        return problem(
            f"The journal is damaged: {found.damage}.",
            why="Records whose runs were created more than a day ago could be created again.",
            advice="Restore a backup of it.",
        )
    words = f"version {found.version}, {spell_size(found.size)}"
    if found.will_be_migrated:
        words += "; the next run changes it to the present version"
    looked = "no damage" if found.is_complete else f"no damage in the {_LONGEST_LOOK:g} s that were spent on it"
    return ok(f"{words}, {looked}")


def of_place(
    path: Path, kind: str | None, *, free: int, is_allowed: bool, is_read_only: bool = False
) -> Iterator[Finding]:
    """Report what is wrong with a file system of this kind, with so many free bytes, that holds the directory."""
    if is_read_only:
        yield problem(
            "The file system of the state directory is mounted read-only.",
            advice="Mount it for writing, or give a directory on another one with --state.",
        )
        return
    if kind in NETWORK:
        advice = "Give a directory on a local disk with --state."
        grade = warning if is_allowed else problem
        yield grade(f"The state directory is on a network file system ({kind}).", why=_NETWORK, advice=advice)
    if kind in IN_MEMORY:
        yield warning(
            f"The state directory is in memory ({kind}).",
            why="A restart of the machine or of the pod loses it, and records could be created again a day later.",
            advice="Give a directory on a disk with --state.",
        )
    if free < LITTLE:
        grade = problem if free < TOO_LITTLE else warning
        yield grade(
            f"Only {spell_size(free)} are free on the disk of the state directory.",
            why="A full disk stops a batch.",
            advice="Free some space, or give a directory on another disk with --state.",
        )
    if (inodes := os.statvfs(path)).f_files and inodes.f_favail < 100:
        yield problem(f"Only {spell_count(inodes.f_favail, 'file')} can be created on its disk (df -i).")


def _of_parent(path: Path) -> Iterator[Finding]:
    parent = next(it for it in path.absolute().parents if it.exists())
    if not os.access(parent, os.W_OK | os.X_OK):
        yield problem(
            f"The state directory {path} can't be created: {parent} is not writable.",
            advice="Give another directory with --state.",
        )


def _of_rights(path: Path) -> Iterator[Finding]:
    """Report what this user can't write, and what others can read."""
    files = [path, *path.rglob("*")]
    locked = [it for it in files if not os.access(it, os.R_OK | os.W_OK)]
    if locked:
        yield problem(
            f"This user can't write {_named(locked)}.", advice="Give this user the directory and the files in it."
        )
    others = [it for it in files if not it.is_symlink() and stat.S_IMODE(it.stat().st_mode) & 0o077]
    if others:
        yield warning(
            f"Other users may read {_named(others)}.",
            why="The state directory contains the text of records.",
            advice=f"Run `chmod -R go= {path}`.",
        )
    owner = path.stat().st_uid
    if owner != os.geteuid() and not locked:
        yield warning(f"The state directory belongs to user {owner}, and this is user {os.geteuid()}.")


def _named(files: Sequence[Path]) -> str:
    others = len(files) - 1
    return f"{files[0]}{f' and {others} more' if others else ''}"
