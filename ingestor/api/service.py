"""The service over HTTP, in this process: it signs requests, sends them and reads their answers."""

import time
from base64 import b64encode
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from yarl import URL

from ingestor import __version__
from ingestor.api.ceiling import Ceiling
from ingestor.api.credentials import make_signer
from ingestor.api.options import TargetOptions, check
from ingestor.api.search import Catalog, Existence, Search, active_of, probe
from ingestor.api.signing import CONTENT_TYPE, Signer
from ingestor.api.transport import Transport
from ingestor.api.wire import SEARCHES, HttpResponse, TransportFailure, new_request_id, reply_to
from ingestor.model.errors import CredentialsError
from ingestor.model.ports import Pace
from ingestor.model.reply import Fault, Finding, Reply
from ingestor.model.request import Request
from ingestor.model.text import MESSAGE_LIMIT, one_line

if TYPE_CHECKING:
    from ingestor.api.tls import Security


class HttpService:
    """A workspace of AIDP or an MLflow server; implements the port `Service`. Use it as an async context manager.

    `signer` replaces the one that the options choose; `ceiling` is one that other processes share.
    Raises UsageError (see `check`). Nothing is read or opened before it is entered; entering raises CredentialsError.
    """

    def __init__(self, options: TargetOptions, *, signer: Signer | None = None, ceiling: Ceiling | None = None) -> None:
        proxy = check(options)
        self._endpoint = options.endpoint
        rehearsal = options.endpoint.is_on_this_machine
        self._signer = signer or make_signer(options.auth, is_rehearsal=rehearsal, ca_file=options.ca_file)
        self._signer.redactor.add(*(() if proxy is None else proxy.secrets))
        self._own_ceiling = Ceiling(options.rate) if ceiling is None and options.rate is not None else None
        # One more than attempts in flight, so that a probe need not wait for slow ones to end.
        self._transport = Transport(
            options.endpoint.url(""),
            proxy,
            connections=options.connections + 1,
            timeout=options.timeout,
            ceiling=ceiling or self._own_ceiling,
            ca_file=options.ca_file,
        )
        self._headers = _constant_headers(options.user_principal)
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            if self._own_ceiling is not None:
                opening.enter_context(self._own_ceiling)
            opening.push_async_callback(self._signer.aclose)
            await self._signer.open()
            await opening.enter_async_context(self._transport)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._opened.aclose()

    @property
    def security(self) -> "Security | None":
        """How the newest connection is protected; None without TLS, or without a connection."""
        return self._transport.security

    async def send(self, request: Request) -> Reply:
        """Send one attempt (see `Service.send`)."""
        return (await self.exchange(request))[0]

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        """Search for the run that carries a token (see `Service.find`)."""
        return await Search(self.exchange, pace).find(token, experiment_id)

    async def experiments(self, pace: Pace) -> Catalog | Reply:
        """List the experiments (see `Search.experiments`)."""
        return await Search(self.exchange, pace).experiments()

    async def has_experiment(self, experiment_id: str) -> Existence | Reply:
        """Return whether an experiment exists (see `Search.has_experiment`)."""
        return await Search(self.exchange, _at_once).has_experiment(experiment_id)

    async def active_experiments(self, pace: Pace) -> Collection[str] | None:
        """List the experiments that take runs (see `Service.active_experiments`)."""
        return active_of(await self.experiments(pace))

    async def probe(self) -> Reply:
        """Search for one experiment (see `Service.probe`)."""
        return await probe(self.exchange)

    async def renew_credentials(self) -> bool:
        """Fetch fresh credentials (see `Service.renew_credentials`)."""
        return await self._signer.renew()

    async def exchange(self, request: Request, request_id: str | None = None) -> tuple[Reply, bytes]:
        """Send one attempt, under a new opc-request-id if none is given.

        Returns the reply, and the body of the answer to a search: both without our secrets. Other bodies are empty.
        """
        request_id = request_id or new_request_id()
        headers = {**self._headers, "opc-request-id": request_id}
        if request.token is not None:
            headers["opc-retry-token"] = request.token
        result = await self._send(request, headers)
        reply, redactor = reply_to(request, result, request_id, time.time()), self._signer.redactor
        reply = redactor.reply(reply, *(_secrets(headers) if reply.message else ()))
        if len(reply.message) > MESSAGE_LIMIT:  # only now: a secret may be longer than a message
            reply = replace(reply, message=one_line(reply.message))
        reply = self._explained(reply)
        if isinstance(result, TransportFailure) or request.operation not in SEARCHES:
            return reply, b""
        return reply, redactor.body(result.body)

    def _explained(self, reply: Reply) -> Reply:
        """Add to a 401 what is known about the credentials."""
        explanation = self._signer.explanation if reply.status == 401 else ""
        if not explanation:
            return reply
        explanation = self._signer.redactor.text(explanation)
        return replace(reply, message=f"{reply.message} ({explanation})".lstrip())

    async def _send(self, request: Request, headers: dict[str, str]) -> HttpResponse | TransportFailure:
        url = self._endpoint.url(request.operation.value)
        if request.query:
            url = URL(f"{url}?{request.query}", encoded=True)
        try:
            headers |= await self._signer.headers(request.method, url, request.body)
        except CredentialsError as error:
            return TransportFailure(Fault.UNSIGNED, str(error), 0.0)
        return await self._transport.request(request.method, url, headers, request.body)


async def _at_once() -> None:
    """Wait for nothing: one request needs no pace."""


def _secrets(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secrets of one request: its signature, and its credentials as base64, which some servers quote."""
    credentials = headers.get("authorization")
    if credentials is None:
        return ()
    encoded = b64encode(credentials.encode(errors="surrogateescape")).decode()
    return (credentials.partition('signature="')[2].partition('"')[0], encoded)


def _constant_headers(user_principal: str | None) -> dict[str, str]:
    headers = {
        "user-agent": f"ingestor/{__version__}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": CONTENT_TYPE,
    }
    return headers if user_principal is None else headers | {"dh-user-principal": user_principal}
