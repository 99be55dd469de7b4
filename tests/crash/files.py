"""A batch in files, of which each run is given some."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from random import Random

from tests.e2e.program import Document, to_lines

_COUNT = 3


class Files:
    """Puts records in files in `folder`. `unknown` are those that the journal there was never told of."""

    def __init__(self, folder: Path, records: Sequence[Document], random: Random) -> None:
        self._journal = folder / "state" / "journal.db"
        self._random = random
        self.names = tuple(f"runs-{part}.jsonl" for part in range(_COUNT))
        self.unknown = set(self.names)
        for part, name in enumerate(self.names):
            (folder / name).write_bytes(to_lines(records[part::_COUNT]))

    def choose(self) -> tuple[str, ...]:
        """Return what a run is given: one file, some or all, in any order."""
        return tuple(self._random.sample(self.names, self._random.randint(1, _COUNT)))

    def look(self) -> None:
        """Take note of what the journal was told of since."""
        with closing(sqlite3.connect(f"{self._journal.as_uri()}?mode=ro", uri=True)) as journal:
            self.unknown -= {source for (source,) in journal.execute("SELECT source FROM input")}
