"""One stream of events, told to many."""

from collections.abc import Sequence

from ingestor.model.events import Event
from ingestor.model.ports import EventLog, EventSink


class Reporter:
    """An EventLog that hands every event to all of its `files`, then to all of its `views`, in the order given.

    `files` may fall behind or fail, and are waited for; `views` only look.
    """

    def __init__(self, *, files: Sequence[EventLog], views: Sequence[EventSink]) -> None:
        self._files = files
        self._sinks = [*files, *views]

    def emit(self, event: Event) -> None:
        """Take one event."""
        for sink in self._sinks:
            sink.emit(event)

    async def ready(self) -> None:
        """Wait while too much is not written yet. Raises ReportError where it can't be."""
        for file in self._files:
            await file.ready()
