"""The progress bar on a terminal. Import it only where there is one: rich is slow to load."""

import threading
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from ingestor.report.snapshot import Snapshot, describe


class Bar:
    """A bar with its figures on one line. Hides the cursor from the first `show` to `close`."""

    def __init__(self, stream: TextIO) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._progress = Progress(
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(file=stream, highlight=False),
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task("", total=None)

    def show(self, snapshot: Snapshot) -> None:
        """Draw the bar."""
        with self._lock:
            if not self._closed:
                self._progress.start()
                self._draw(snapshot)

    def close(self, snapshot: Snapshot) -> None:
        """Draw it for the last time, and give the cursor back."""
        with self._lock:
            if not self._closed:
                self._closed = True
                try:
                    self._draw(snapshot)
                finally:
                    self._progress.stop()

    def _draw(self, snapshot: Snapshot) -> None:
        self._progress.update(self._task, completed=snapshot.done, total=snapshot.total, description=describe(snapshot))
        self._progress.refresh()
