"""How far followed files are read."""

from collections.abc import Collection, Sequence
from heapq import nlargest
from itertools import islice
from operator import attrgetter

from ingestor.model.lag import MOST_FILES, FileLag, FileState, InputLag
from ingestor.sources.follow.files import FollowedFile


def lag_of(unread: Sequence[FollowedFile], opened: Sequence[FollowedFile], files: Collection[FollowedFile]) -> InputLag:
    """Return the lag of all `files`, of which some have something `unread`, and some are `opened`."""
    most = nlargest(MOST_FILES, unread, key=attrgetter("unread_bytes"))
    listed = list(dict.fromkeys([*most, *opened, *islice(files, MOST_FILES)]))[:MOST_FILES]
    held = [file for file in opened if not file.names]
    return InputLag(
        unread_bytes=sum(file.unread_bytes for file in unread),
        waiting_since=min((file.unread_since for file in unread if file.unread_since is not None), default=None),
        files=[_file_lag(file) for file in listed],
        other_files=max(0, len(files) - len(listed)),
        held_files=len(held),
        held_bytes=sum(file.size for file in held),
    )


def _file_lag(file: FollowedFile) -> FileLag:
    is_unread = file.unread_since is not None
    read = file.offset if not file.is_packed else 0 if is_unread else file.size
    state = FileState.READING if is_unread else FileState.WAITING if file.names else FileState.MISSING
    return FileLag(name=file.name, state=state, read_bytes=read, size=file.size, waiting_since=file.unread_since)
