"""What an earlier execution left unread of the files that it followed."""

import os
from collections.abc import Iterable

from ingestor.model.sources import Checkpoint
from ingestor.sources.follow.consumed import FollowPosition, Identity


def unread_files(known: Iterable[Checkpoint]) -> dict[str, Checkpoint]:
    """Return the followed files that have something unread: by their present paths, also where they were renamed.

    A file that is gone has nothing unread: it was rotated away. `known` are checkpoints of followed files.
    """
    found = {}
    for checkpoint in known:
        position = FollowPosition.parse(checkpoint.position)
        path = None if position is None else _find(checkpoint.source.path or "", position.identity)
        if position is not None and path is not None and _has_more(path, position):
            found[path] = checkpoint
    return found


def _find(path: str, identity: Identity) -> str | None:
    """Return where a file is now: under its path, or under another name in the same directory."""
    folder = os.path.dirname(path)
    try:
        with os.scandir(folder) as entries:
            others = [entry.path for entry in entries if entry.inode() == identity[1]]
    except OSError:
        others = []
    return next((it for it in (path, *others) if _identity_of(it) == identity), None)


def _identity_of(path: str) -> Identity | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _has_more(path: str, position: FollowPosition) -> bool:
    """Whether a file has grown, or may have other content. A file that is as it was is read to its end."""
    status = os.stat(path)
    if position.is_packed:
        return status.st_size != position.state[0] or not position.is_whole
    return status.st_size != position.offset
