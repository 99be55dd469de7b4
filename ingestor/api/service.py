"""The service over HTTP, in this process: it signs requests, sends them and reads their answers."""

import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Self

from ingestor import __version__
from ingestor.api.credentials import make_signer
from ingestor.api.options import TargetOptions, check
from ingestor.api.search import PROBE, Search
from ingestor.api.signing import CONTENT_TYPE, Signer
from ingestor.api.transport import Transport
from ingestor.api.wire import HttpResponse, TransportFailure, new_request_id, reply_to
from ingestor.model.errors import CredentialsError
from ingestor.model.ports import Pace
from ingestor.model.reply import Fault, Finding, Reply
from ingestor.model.request import Request


class HttpService:
    """A workspace of AIDP or an MLflow server; implements the port `Service`. Use it as an async context manager.

    `signer` replaces the one that the options choose. Raises UsageError (see `check`). Nothing is read or opened before
    it is entered; entering raises CredentialsError.
    """

    def __init__(self, options: TargetOptions, *, signer: Signer | None = None) -> None:
        check(options)
        url = options.endpoint.url("")
        self._endpoint = options.endpoint
        self._signer = signer or make_signer(options.auth)
        # One more than attempts in flight, so that a probe need not wait for slow ones to end.
        self._transport = Transport(url, connections=options.connections + 1, timeout=options.timeout)
        self._headers = _constant_headers(options.user_principal)
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            opening.push_async_callback(self._signer.aclose)
            await self._signer.open()
            await opening.enter_async_context(self._transport)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._opened.aclose()

    async def send(self, request: Request) -> Reply:
        """Send one attempt (see `Service.send`)."""
        return (await self.exchange(request))[0]

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        """Search for the run that carries a token (see `Service.find`)."""
        return await Search(self.exchange, pace).find(token, experiment_id)

    async def probe(self) -> Reply:
        """Search for one experiment (see `Service.probe`)."""
        return await self.send(PROBE)

    async def renew_credentials(self) -> bool:
        """Fetch fresh credentials (see `Service.renew_credentials`)."""
        return await self._signer.renew()

    async def exchange(self, request: Request, request_id: str | None = None) -> tuple[Reply, bytes]:
        """Send one attempt, under a new opc-request-id if none is given.

        Returns the reply and the body of the answer, which is empty where no answer came.
        """
        request_id = request_id or new_request_id()
        headers = {**self._headers, "opc-request-id": request_id}
        if request.token is not None:
            headers["opc-retry-token"] = request.token
        result = await self._post(request, headers)
        body = b"" if isinstance(result, TransportFailure) else result.body
        return reply_to(request, result, request_id, time.time()), body

    async def _post(self, request: Request, headers: dict[str, str]) -> HttpResponse | TransportFailure:
        url = self._endpoint.url(request.operation.value)
        try:
            headers |= await self._signer.headers("POST", url, request.body)
        except CredentialsError as error:
            return TransportFailure(Fault.UNSIGNED, str(error), 0.0)
        return _without_credentials(headers, await self._transport.post(url, headers, request.body))


def _without_credentials(
    headers: dict[str, str], result: HttpResponse | TransportFailure
) -> HttpResponse | TransportFailure:
    """Remove our credentials from an answer that quotes them."""
    secret = headers.get("authorization", "").rpartition(" ")[2].encode()
    if not secret or isinstance(result, TransportFailure) or secret not in result.body:
        return result
    return replace(result, body=result.body.replace(secret, b"[credentials]"))


def _constant_headers(user_principal: str | None) -> dict[str, str]:
    headers = {
        "user-agent": f"ingestor/{__version__}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": CONTENT_TYPE,
    }
    return headers if user_principal is None else headers | {"dh-user-principal": user_principal}
