"""Which rejected records were reported, from which places: what is read again is not reported again. Pure."""

from collections import OrderedDict
from collections.abc import Iterable
from enum import Enum
from hashlib import blake2b

from ingestor.model.record import Reject

MOST = 100_000
"""How many rejected records are remembered: the last ones."""


class Reported(Enum):
    """Whether a rejected record was reported from this place before."""

    NO = "no"
    EARLIER = "by an earlier execution"
    IN_THIS_EXECUTION = "in this execution"


class ReportedRejects:
    """Remembers rejected records. `earlier` are the digests of those that earlier executions have reported."""

    def __init__(self, earlier: Iterable[bytes] = ()) -> None:
        self._known: OrderedDict[bytes, Reported] = OrderedDict()
        for digest in earlier:
            self._remember(digest, Reported.EARLIER)

    def add(self, reject: Reject) -> Reported:
        """Return whether a record was reported, which it now is."""
        digest = place_digest(reject.origin.source, reject.origin.line, reject.text)
        before = self._known.get(digest, Reported.NO)
        self._remember(digest, Reported.IN_THIS_EXECUTION)
        return before

    def _remember(self, digest: bytes, reported: Reported) -> None:
        self._known[digest] = reported
        self._known.move_to_end(digest)
        if len(self._known) > MOST:
            self._known.popitem(last=False)


def place_digest(source: str, line: int, text: str) -> bytes:
    """Return the digest of a rejected record and its place."""
    return blake2b(f"{source}\0{line}\0{text}".encode(errors="backslashreplace"), digest_size=16).digest()
