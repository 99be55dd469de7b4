"""Halts: what is wrong for every record, and what a person should check."""

from dataclasses import dataclass

from ingestor.model.reply import Fault, Reply

_MESSAGE_LENGTH = 400  # characters of the service's message; the rest of a proxy's page says nothing more
_MALFORMED = "the service answers, but the answer is malformed: "  # how such an answer's message begins
CLOCK_SKEW = 300.0
"""Seconds that OCI allows between the signed date and its own clock."""


@dataclass(frozen=True, slots=True)
class Halt:
    """Nothing more is sent: what is wrong for every record, and what to check."""

    reason: str
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How the service is addressed, so that advice names the options that were used.

    Attributes:
        auth: the kind of credentials, as `--auth` names it; empty if it is not known.
        is_aidp: whether the target is a workspace of AI Data Platform, and not a tracking server.
    """

    auth: str = ""
    is_aidp: bool = True


UNKNOWN = Access()
"""Access of which nothing is known."""


def words(reply: Reply) -> str:
    """Return what the service said, or how it failed: status or fault, code, and the beginning of the message."""
    label = " ".join(str(part) for part in (reply.fault or reply.status, reply.code) if part)
    message = reply.message[:_MESSAGE_LENGTH].rstrip(". ")
    return (
        message
        if reply.fault is not None and reply.fault in message.lower()
        else ": ".join(filter(None, (label, message)))
    )


def credentials_halt(reply: Reply, access: Access = UNKNOWN) -> Halt:
    """Return the halt of a batch whose credentials are not accepted, or can't be used any more."""
    if reply.fault is Fault.UNSIGNED:
        return Halt(f"The credentials can't be used any more: {reply.message}", advice="")
    return Halt(f"The service does not accept the credentials: {words(reply)}.", _credentials_advice(reply, access))


def refused_halt(reply: Reply, access: Access = UNKNOWN, *, has_runs: bool = False) -> Halt:
    """Return the halt of a batch whose requests are all refused; `has_runs`: this target has runs."""
    if has_runs:
        return Halt(
            f"The service accepted records of this target before; now it refuses every request: {words(reply)}.",
            f"{_lost_access_advice(reply, access)} `ingestor check --online` tests it and creates nothing. If it finds "
            "nothing wrong, the records themselves are refused: `ingestor forget` gives up those that will never work.",
        )
    return Halt(f"Every record was refused: {words(reply)}.", _address_advice(reply, access))


def unreached_halt(reply: Reply, access: Access = UNKNOWN) -> Halt:
    """Return the halt of a batch whose service was never reached, or where something else answers."""
    if reply.fault is Fault.GARBLED:
        return Halt(
            f"Something answers, but not as the API does: {words(reply)}.",
            f"Check host and port in {_address_options(access)}, and any proxies in between.",
        )
    return Halt(f"The service was never reached: {words(reply)}.", _reach_advice(reply.fault, access))


def unanswered_halt(seconds: float, access: Access) -> Halt:
    """Return the halt of a batch whose service answered nothing for so many seconds."""
    reason = f"The service was never reached: no answer for {seconds:.0f} seconds."
    return Halt(reason, _reach_advice(Fault.TIMEOUT, access))


def unusable_halt(reply: Reply, access: Access = UNKNOWN) -> Halt:
    """Return what is wrong if this is the answer to a probe: it is no success."""
    if _is_refusal(reply) and reply.status != 429:
        return Halt(f"The service refuses a search of the target: {words(reply)}.", _address_advice(reply, access))
    return Halt(f"The service can't answer now: {words(reply)}.", "Try again later.")


def malformed_halt(reply: Reply) -> Halt:
    """Return the halt of a batch that gets malformed answers only."""
    problem = reply.message[:_MESSAGE_LENGTH].removeprefix(_MALFORMED).rstrip(". ")
    return Halt(
        f"The service answers, but its answers are malformed: {problem}.",
        "Check the proxy in between: its answers violate HTTP. The requests may have been carried out; the next run "
        "finds out.",
    )


def repeated_run_halt(run_id: str) -> Halt:
    """Return the halt of a batch whose records are answered with the same run."""
    return Halt(
        f"Different records were answered with the same run: {run_id}.",
        "A proxy in between seems to cache answers, or the service does not create a run for each request. Let no "
        "proxy cache POST requests, or send past it (NO_PROXY). Their runs may exist; the next run finds out.",
    )


DOWN = "the service is down: "
"""How a pause reason begins where nothing shows that the service works."""


def pause_reason(reply: Reply) -> str:
    """Return why the batch does not advance: the service refuses every request, or is down. `reply` is its last one."""
    return f"every request is refused (still trying): {words(reply)}" if _is_refusal(reply) else DOWN + words(reply)


def give_up_reason(reply: Reply) -> str:
    """Return why a batch ended without a success for too long. `reply` is the last one."""
    state = "every request was refused" if _is_refusal(reply) else "the service was down"
    return f"{state} for longer than --give-up-after: {words(reply)}"


def _is_refusal(reply: Reply) -> bool:
    return reply.fault is Fault.UNSIGNED or (reply.status is not None and reply.status < 500)


_CREDENTIALS = {
    "api-key": "Check --auth api-key: the key's fingerprint, user and tenancy in the profile (--oci-config, "
    "--oci-profile), and that this user has the public key. A profile of `oci session authenticate` needs "
    "--auth session-token.",
    "session-token": "Check --auth session-token: the token may be too old. `oci session refresh` renews it, and `oci "
    "session authenticate` makes a new one. Check --oci-config and --oci-profile.",
    "instance-principal": "Check --auth instance-principal: a dynamic group must contain this instance, and a policy "
    "must name the group.",
    "resource-principal": "Check --auth resource-principal: a dynamic group must contain this resource, and a policy "
    "must name the group.",
    "workload-identity": "Check --auth workload-identity: a policy must name the cluster, the namespace and the "
    "service account of this pod.",
    "bearer": "Check --auth bearer: the token's value and age, and that it is for this server.",
    "basic": "Check --auth basic: the user's name and the password, in --basic-username and INGESTOR_BASIC_PASSWORD, "
    "or in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.",
    "none": "The service requires credentials: choose them with --auth.",
}
_NO_CREDENTIALS = (
    "The server requires credentials: use --auth basic with MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
    "--auth bearer with MLFLOW_TRACKING_TOKEN."
)
_UNKNOWN_CREDENTIALS = "Check --auth, --oci-config and --oci-profile, or the token's value and age."


def _credentials_advice(reply: Reply, access: Access) -> str:
    if reply.clock_skew is not None and abs(reply.clock_skew) > CLOCK_SKEW:
        return (
            f"This machine's clock differs from the service's by {abs(reply.clock_skew):.0f} seconds, and OCI "
            f"allows {CLOCK_SKEW:.0f}: set the clock right."
        )
    if access.auth == "none" and not access.is_aidp:
        return _NO_CREDENTIALS
    return _CREDENTIALS.get(access.auth, _UNKNOWN_CREDENTIALS)


def _address_options(access: Access) -> str:
    return "--region or --endpoint" if access.is_aidp else "--tracking-uri"


def _address_advice(reply: Reply, access: Access) -> str:
    if reply.code is None:
        return f"The answers do not come from the API: check {_address_options(access)}, and any proxies."
    if access.is_aidp:
        return (
            "Check --platform-id, --workspace and --region or --endpoint, that a policy lets this principal create "
            "runs in the workspace, and that the experiments of the first records exist."
        )
    return (
        "Check --tracking-uri, that this user may create runs on the server, and that the experiments of the first "
        "records exist."
    )


def _lost_access_advice(reply: Reply, access: Access) -> str:
    if reply.code is None:
        return _address_advice(reply, access)
    if access.is_aidp:
        return "Check that the workspace still exists, and that a policy still lets this principal create runs in it."
    return "Check --tracking-uri, and that this user may still create runs on the server."


def _reach_advice(fault: Fault | None, access: Access) -> str:
    options = _address_options(access)
    if fault is Fault.DNS:
        return f"The host name does not resolve: check {options}, and DNS."
    if fault is Fault.PROXY:
        return (
            "Check the proxy, which `ingestor config` shows: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names it, and "
            "NO_PROXY names hosts that need none."
        )
    if fault is Fault.TLS:
        return (
            f"Check {options} and the server's certificate. If a private authority signs it, name a file with "
            "that authority's certificate with --ca-file."
        )
    return f"Check {options}, that the service is up, and any firewalls and proxies."
