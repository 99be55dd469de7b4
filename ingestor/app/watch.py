"""`ingestor status --watch`: follows the batches of another process, by its journal alone."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ingestor.app.inspect import Look
from ingestor.app.messages import complain
from ingestor.model.errors import ExitCode
from ingestor.model.record import State
from ingestor.policy.identity import Scope
from ingestor.report.progress import NO_SCREEN

INTERVAL = 2.0
"""Seconds between two looks at the journal, at least."""

_SHARE = 10  # looks take at most one part in so many of the time: a journal of millions takes seconds to read
_WAITING = "no run is in progress: waiting for the next one"
_SCREEN = "\x1b[H\x1b[2J"  # to the first line of an empty screen

Sleep = Callable[[float], None]
Clock = Callable[[], float]


def watch(
    state: Path, *, as_json: bool, sleep: Sleep = time.sleep, clock: Clock = time.monotonic, wall: Clock = time.time
) -> ExitCode:
    """Print the status again and again, until the run that is in progress has ended, or until Ctrl-C.

    Without a run in progress, the next one is waited for, and a message says so. A run that begins and ends between two
    looks is noticed too. On a terminal a status replaces the one before. Elsewhere it is printed if something has
    changed. Raises UsageError if there is no journal.
    """
    on_screen = not as_json and sys.stdout.isatty() and os.environ.get("TERM") not in NO_SCREEN
    speed, shown, over = _Speed(), "", frozenset[int]()
    try:
        while True:
            began = clock()
            look = Look.at(state, wall())
            text = look.document() if as_json else look.text(speed.of(look, began))
            is_first = not shown
            over = look.over if is_first else over
            if on_screen or text != shown:
                print((_SCREEN if on_screen else "") + text, flush=True)
                shown = text
            if not look.is_in_progress and not look.over <= over:
                return ExitCode.OK
            if not look.is_in_progress and (is_first or on_screen):
                complain(_WAITING)
            sleep(max(INTERVAL, _SHARE * (clock() - began)))
    except KeyboardInterrupt:
        return ExitCode.OK


class _Speed:
    """How fast each batch moves, from one look to the next."""

    def __init__(self) -> None:
        self._at = 0.0
        self._ended: Mapping[Scope, int] = {}

    def of(self, look: Look, now: float) -> Mapping[Scope, float]:
        """Return the records a second of the batches that have moved since the last look."""
        before, seconds = self._ended, now - self._at
        self._at = now
        self._ended = {it.scope: sum(it.counts.values()) - it.counts[State.PENDING] for it in look.report.batches}
        moved = {scope: count - before[scope] for scope, count in self._ended.items() if scope in before}
        return {scope: count / seconds for scope, count in moved.items() if count > 0}
