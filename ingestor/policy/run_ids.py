"""Whether two records were answered with the same run: a proxy that caches answers does that."""

WINDOW = 8192
"""How many runs are compared with at least; twice as many at most.

They take about 200 bytes each: at most 4 MB.
"""


class RecentRunIds:
    """The ids of the last runs that were created, each with the retry token whose answer named it first."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._recent: dict[str, int] = {}
        self._older: dict[str, int] = {}

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
