"""The result of one attempt or of one look-up, also of a failed one."""

from dataclasses import dataclass
from enum import StrEnum

from ingestor.model.value import value


class Fault(StrEnum):
    """How an attempt ended without a usable HTTP answer."""

    DNS = "dns"
    """The host name did not resolve: nothing was sent."""
    REFUSED = "refused"
    """No connection could be made: nothing was sent."""
    PROXY = "proxy"
    """The proxy could not be reached, or did not connect to the service: nothing was sent."""
    TLS = "tls"
    """The TLS handshake or the certificate check failed: nothing was sent."""
    TIMEOUT = "timeout"
    """No complete answer came in time: the request may have been carried out."""
    RESET = "reset"
    """The connection broke after the request was begun: it may have been carried out."""
    GARBLED = "garbled"
    """The answer is not HTTP, is not the service's, or broke off: the request may have been carried out."""
    MALFORMED = "malformed"
    """The service, or a proxy in between, answered, and the answer violates HTTP: the request may have been carried
    out."""
    LOST = "lost"
    """The process that made the attempt died, not the service. The request may have been carried out."""
    UNSIGNED = "unsigned"
    """The credentials could not produce a signature: nothing was sent."""
    HELD = "held"
    """The ceiling of the rate was reached when the request was about to leave: nothing was sent. It says nothing about
    the service, and costs nothing."""

    @property
    def sent_nothing(self) -> bool:
        """Whether it is certain that the service never saw the request."""
        return self in _BEFORE_THE_FIRST_BYTE


_BEFORE_THE_FIRST_BYTE = frozenset({Fault.DNS, Fault.REFUSED, Fault.PROXY, Fault.TLS, Fault.UNSIGNED, Fault.HELD})


@value(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answer to one attempt, or the fault, if there was no answer.

    At most one of `status` and `fault` is set; none, if no attempt was made. Times are seconds unless named otherwise.

    Attributes:
        status: the HTTP status.
        fault: why there is no status.
        code: the service's error code (`code`, or MLflow's `error_code`), if the body has one.
        message: the service's message, the shortened raw text of a body that is not JSON, or the fault's detail.
        run_id: the created run's id: set only when a 2xx answer to create names one.
        experiment_id: the created run's experiment, if the answer has it.
        retry_after: how long the service asks the client to wait, from Retry-After in either form.
        clock_skew: the service's clock (its Date header) minus ours, if the answer has a Date.
        opc_request_id: as in the service's answer.
        opc_client_request_id: as this client sent it.
        latency_ms: from the first byte sent to the end of the answer, or to the fault.
    """

    status: int | None = None
    fault: Fault | None = None
    code: str | None = None
    message: str = ""
    run_id: str | None = None
    experiment_id: str | None = None
    retry_after: float | None = None
    clock_skew: float | None = None
    opc_request_id: str | None = None
    opc_client_request_id: str = ""
    latency_ms: float = 0.0

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return self.status is not None and self.status // 100 == 2


class Presence(StrEnum):
    """Whether a run carries the token that was searched for."""

    FOUND = "found"
    ABSENT = "absent"
    """The service answered, and there was none at that moment. A request that it still processes may create one."""
    UNDECIDED = "undecided"
    """The look-up failed, or its answer is not reliable."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a look-up.

    `reply` is the answer to its last request. FOUND: it names the run, and its message names other runs that carry the
    same token. UNDECIDED: its status, fault and message give the reason.
    """

    presence: Presence
    reply: Reply
