"""A batch in files, of which each run is given some."""

import sqlite3
from collections.abc import Collection, Sequence
from contextlib import closing
from pathlib import Path
from random import Random

from tests.e2e.program import Document, to_lines

_COUNT = 3


class Files:
    """Puts records in files in `folder`. `unknown` are those that the journal there does not know yet."""

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

    def look(self, done: Collection[str]) -> None:
        """Record the files that are in the journal, and of those that are `done`, which it forgets."""
        with closing(sqlite3.connect(f"{self._journal.as_uri()}?mode=ro", uri=True)) as journal:
            self.unknown -= {name for (name,) in journal.execute("SELECT name FROM source")}
        self.unknown -= set(done)
