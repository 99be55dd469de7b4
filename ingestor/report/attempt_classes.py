"""Ends of attempts in few classes, for counts that must not have a name for each status."""

from collections.abc import Mapping
from enum import StrEnum

from ingestor.model.reply import Fault


class AttemptClass(StrEnum):
    """How an attempt ended."""

    SUCCESS = "success"
    """2xx."""
    THROTTLED = "throttled"
    """429: it is repeated later."""
    UNAUTHENTICATED = "unauthenticated"
    """401, or the credentials could not sign."""
    DENIED = "denied"
    """403 or 404: no right, or no such experiment or workspace."""
    REFUSED = "refused"
    """Any other 4xx."""
    SERVER_ERROR = "server_error"
    """5xx."""
    OTHER_STATUS = "other_status"
    """Any other status."""
    DNS = "dns"
    """The host name did not resolve."""
    CONNECTION = "connection"
    """No connection could be made, or it broke; or the process that sent it died."""
    PROXY = "proxy"
    """The proxy could not be reached, or did not connect."""
    TLS = "tls"
    """The certificate or the handshake failed."""
    TIMEOUT = "timeout"
    """No complete answer came in time."""
    MALFORMED = "malformed"
    """The answer is not valid HTTP, or not the service's."""
    HELD = "held"
    """It was not sent, because the ceiling of the rate was reached."""


_OF_FAULT: Mapping[Fault, AttemptClass] = {
    Fault.DNS: AttemptClass.DNS,
    Fault.REFUSED: AttemptClass.CONNECTION,
    Fault.PROXY: AttemptClass.PROXY,
    Fault.TLS: AttemptClass.TLS,
    Fault.TIMEOUT: AttemptClass.TIMEOUT,
    Fault.RESET: AttemptClass.CONNECTION,
    Fault.GARBLED: AttemptClass.MALFORMED,
    Fault.MALFORMED: AttemptClass.MALFORMED,
    Fault.LOST: AttemptClass.CONNECTION,
    Fault.UNSIGNED: AttemptClass.UNAUTHENTICATED,
    Fault.HELD: AttemptClass.HELD,
}
_OF_STATUS = {
    401: AttemptClass.UNAUTHENTICATED,
    403: AttemptClass.DENIED,
    404: AttemptClass.DENIED,
    429: AttemptClass.THROTTLED,
}
_OF_HUNDRED = {2: AttemptClass.SUCCESS, 4: AttemptClass.REFUSED, 5: AttemptClass.SERVER_ERROR}


def class_of(end: int | str | None) -> AttemptClass:
    """Return the class of an attempt that ended with this status or fault."""
    if isinstance(end, str):
        return _OF_FAULT[Fault(end)]
    status = end or 0
    return _OF_STATUS.get(status) or _OF_HUNDRED.get(status // 100, AttemptClass.OTHER_STATUS)


def counted(ends: Mapping[int | str | None, int]) -> dict[AttemptClass, int]:
    """Return how many attempts ended in each class, from how many ended with each status or fault."""
    counts = dict.fromkeys(AttemptClass, 0)
    for end, count in ends.items():
        counts[class_of(end)] += count
    return counts
