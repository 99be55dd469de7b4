"""The faults that the simulator injects, and the random schedule that says which request suffers which."""

from collections.abc import Mapping
from enum import StrEnum
from random import Random


class InjectedFault(StrEnum):
    """One way to spoil a request that is otherwise admitted. A request suffers one at most."""

    ERROR_500 = "error_500"
    """500 InternalServerError; nothing was done."""
    ERROR_503 = "error_503"
    """503 ServiceUnavailable; nothing was done."""
    ERROR_409 = "error_409"
    """409 IncorrectState, which is worth a retry; nothing was done."""
    HTML = "html"
    """A proxy's 502 with an HTML body; nothing was done."""
    RESET_BEFORE = "reset_before"
    """The connection is reset; nothing was done."""
    RESET_AFTER = "reset_after"
    """The request is carried out, then the connection is reset."""
    TRUNCATED = "truncated"
    """The request is carried out, and the connection closes in the middle of the response."""
    HTML_OK = "html_ok"
    """The request is carried out, and a proxy answers 200 with an HTML body."""
    HANG = "hang"
    """The request is carried out, and no response ever comes."""
    SLOW = "slow"
    """The request is carried out, and the response comes late."""


class FaultSchedule:
    """Draws at most one fault a request, with one random number each: a seed repeats the whole schedule."""

    def __init__(self, chances: Mapping[InjectedFault, float], seed: int) -> None:
        self._chances = tuple((InjectedFault(name), chance) for name, chance in chances.items())
        self._random = Random(seed)  # noqa: S311 - a repeatable schedule is the point

    def draw(self) -> InjectedFault | None:
        """Return the fault of the next request; None for no fault."""
        if not self._chances:
            return None
        point = self._random.random()
        for fault, chance in self._chances:
            if point < chance:
                return fault
            point -= chance
        return None
