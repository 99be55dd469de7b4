"""The way to the service: proxy, authorities, DNS, connection, TLS. One search is sent, exactly as a run sends it."""

import os
import socket
from dataclasses import replace
from datetime import UTC, datetime

from ingestor.api.options import AuthOptions
from ingestor.api.proxy import proxy_for
from ingestor.api.service import HttpService
from ingestor.api.trust import client_context, trusted_by
from ingestor.api.values import AuthKind, is_loopback
from ingestor.app.doctor.finding import Finding, ok, problem, warning
from ingestor.app.doctor.subject import Answer, Facts, Subject
from ingestor.model.reply import Fault, Reply
from ingestor.policy.advice import unreached_halt
from ingestor.report.text import spell_count
from ingestor.system.tasks import in_thread

TIMEOUT = 10.0
"""Seconds for the search, at most; half of that for the connection."""

_SOON = 14  # days; a certificate that ends earlier should be renewed now
_NO_CONNECTION = frozenset({Fault.DNS, Fault.REFUSED, Fault.PROXY})


def proxy(subject: Subject, facts: Facts) -> Finding:
    """Report the proxy in between."""
    facts.proxy = it = proxy_for(subject.known_target.endpoint.url(""))
    if it is None:
        return ok("none")
    facts.redactor.add(*it.secrets)
    words = f"{it.display} ({it.variable})"
    if it.user is not None and it.url.scheme == "http" and not is_loopback(it.url.raw_host or ""):
        return warning(
            words,
            why="Its user and password are sent to it unencrypted.",
            advice="Name it with https:// if it can do TLS.",
        )
    return ok(words)


def authorities(subject: Subject, facts: Facts) -> Finding:
    """Report which authorities are trusted."""
    target = subject.known_target
    if target.endpoint.display.startswith("http:") and (facts.proxy is None or facts.proxy.url.scheme == "http"):
        return ok("not needed: the address is not https")
    trusted = trusted_by(target.ca_file)
    if (wrong := trusted.problem) is not None:
        return problem(
            f"{trusted.named_by} names {trusted.file}, which {wrong}.",
            why="No certificate would be trusted.",
            advice="Correct the name, or remove the setting to trust the system's authorities.",
        )
    if log := os.environ.get("SSLKEYLOGFILE"):
        return warning(
            f"The keys of each TLS connection are written to {log} (SSLKEYLOGFILE).",
            why="Who can read that file can read what was sent.",
            advice="Unset SSLKEYLOGFILE, unless you are looking for a fault in TLS.",
        )
    count = client_context(target.ca_file).cert_store_stats()["x509"]
    if trusted.file is not None:
        return ok(f"{spell_count(count, 'certificate')} in {trusted.file} ({trusted.named_by})")
    return ok(f"the system's store{f', {count:,} certificates' if count else ''}")


async def dns(subject: Subject, facts: Facts) -> Finding:
    """Look the host up: the service's, or the proxy's."""
    url = subject.known_target.endpoint.url("") if facts.proxy is None else facts.proxy.url
    host = url.raw_host or ""
    try:
        found = await in_thread(lambda: socket.getaddrinfo(host, url.port, type=socket.SOCK_STREAM), "resolver")
    except socket.gaierror as error:
        named = "the address" if facts.proxy is None else facts.proxy.variable
        return problem(f"The host name {host} does not resolve: {error.strerror}.", advice=f"Check {named}, and DNS.")
    addresses = sorted({str(it[4][0]) for it in found})
    if addresses == [host.strip("[]")]:
        return ok(f"{host} is an address")
    return ok(f"{host} is {', '.join(addresses[:3])}{f' and {len(addresses) - 3} more' if len(addresses) > 3 else ''}")


async def connection(subject: Subject, facts: Facts) -> Finding:
    """Send one search, and report whether a connection was made. Without usable credentials, send it without any."""
    target = subject.known_target
    options = target.connection(connections=1, timeout=_timeout(subject))
    if not facts.has_credentials:
        options = replace(options, auth=AuthOptions(kind=AuthKind.NONE))
    async with HttpService(options) as service:
        reply = await service.probe()
        facts.answer = Answer(reply, service.security)
    if reply.fault is Fault.UNSIGNED:
        return problem(reply.message)
    if reply.fault in _NO_CONNECTION:
        return _unreached(reply, subject)
    through = "" if facts.proxy is None else f" through {facts.proxy.display}"
    return ok(f"connected{through}")


def tls(subject: Subject, facts: Facts) -> Finding:
    """Report whether the server's certificate is trusted, and how long it is valid."""
    reply, security = facts.known_answer.reply, facts.known_answer.security
    if reply.fault is Fault.TLS:
        return _unreached(reply, subject)
    if security is None:
        return ok("not used: the address is not https")
    left = security.certificate.ends - datetime.now(UTC)
    words = (
        f"{security.version}; the certificate is by {security.certificate.issuer} and valid until "
        f"{security.certificate.ends:%Y-%m-%d} ({spell_count(left.days, 'day')})"
    )
    if left.days < _SOON:
        return warning(words, why="Nothing is sent after that day.", advice="Renew it on the server.")
    return ok(words)


def service(subject: Subject, facts: Facts) -> Finding:
    """Report whether the service answers, and whether it is the service."""
    reply = facts.known_answer.reply
    if reply.fault is Fault.TIMEOUT:
        return problem(
            f"The connection was made, and no answer came within {_timeout(subject):g} seconds.",
            advice="Check that the service is up, and any proxies in between.",
        )
    if reply.fault is not None:
        return _unreached(reply, subject)
    words = f"answers with {reply.status} in {reply.latency_ms:.0f} ms"
    if (reply.status or 0) >= 500:
        said = f": {reply.message}" if reply.message else ""
        return problem(f"{words}{said}", why="It can't answer now.", advice="Try again later.")
    return ok(words)


def _timeout(subject: Subject) -> float:
    return min(TIMEOUT, subject.options.timeout)


def _unreached(reply: Reply, subject: Subject) -> Finding:
    halt = unreached_halt(reply, subject.known_target.access)
    return problem(halt.reason, advice=halt.advice)
