"""Which followed files are done: read to their end, with a durable outcome for every record, and quiet for long."""

from ingestor.sources.follow.done import DoneFile
from ingestor.sources.follow.files import FollowedFile


class DoneFiles:
    """Collects the files that may be done, if it `is_used`."""

    def __init__(self, *, is_used: bool) -> None:
        self._is_used = is_used
        self._files: dict[FollowedFile, None] = {}

    def note(self, file: FollowedFile) -> None:
        """Take a file of which a position became durable."""
        if self._is_used:
            self._files[file] = None

    def take(self, now: float, age: float) -> list[DoneFile]:
        """Return the files that are done and did not change for `age` seconds; each once, unless it changes."""
        quiet = [file for file in self._files if now - file.changed_at >= age or not file.names]
        for file in quiet:
            del self._files[file]
        done = [file for file in quiet if file.names and file.is_done]
        return [DoneFile(next(iter(file.names)), file.identity, file.state) for file in done]
