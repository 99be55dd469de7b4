"""Whether two records were answered with the same run: a proxy that caches answers does that."""

import re
from collections.abc import Iterable

WINDOW = 4096
"""How many runs are compared with at least; twice as many at most.

They take about 200 bytes each: at most 2 MB.
"""

REPEATED_RUN = "RepeatedRunId"
"""The error code of a job that was answered with the run of another job."""

_REPEATED = re.compile("the answer names the run of another record, (.*): a proxy may cache answers", re.DOTALL)


def repeated_run_message(run_id: str) -> str:
    """Return why a record is unresolved whose answer names the run of another record."""
    return f"the answer names the run of another record, {run_id}: a proxy may cache answers; the run may exist"


def repeated_run_of(message: str) -> str | None:
    """Return the run that such a message names; None if it is another message."""
    match = _REPEATED.match(message)
    return match and match[1]


class RecentRunIds:
    """The ids of the last runs that were created, each with the retry token whose answer named it first.

    Args:
        known: run ids of earlier executions, the oldest first, each with its token; "" if the token is not known.
        window: how many are compared with at least.
    """

    def __init__(self, known: Iterable[tuple[str, str]] = (), window: int = WINDOW) -> None:
        self._window = window
        self._recent: dict[str, int] = {}
        self._older: dict[str, int] = {}
        for run_id, token in known:
            self.is_repeated(run_id, token)

    def is_repeated(self, run_id: str, token: str) -> bool:
        """Record an answer that names a run; return whether the answer to another token named the same one.

        The answer to the same token may come again: the service repeats it.
        """
        own = hash(token)  # an integer takes less memory than a token that nothing else needs any more
        first = self._recent.get(run_id)
        if first is None:
            first = self._older.get(run_id, own)
            if len(self._recent) >= self._window:
                self._older, self._recent = self._recent, {}
            self._recent[run_id] = first
        return first != own
