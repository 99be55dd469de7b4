"""The service as the pipeline sees it: one attempt out, one reply in."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Self

from yarl import URL

from ingestor import __version__
from ingestor.api.credentials import make_signer
from ingestor.api.endpoint import Endpoint
from ingestor.api.options import TargetOptions, check
from ingestor.api.search import PROBE, Question, Search
from ingestor.api.signing import CONTENT_TYPE, Signer
from ingestor.api.transport import Transport
from ingestor.api.wire import (
    Answer,
    TransportFailure,
    new_request_id,
    reply_to_create,
    reply_to_probe,
    request_body,
    unpacked_body,
)
from ingestor.model.errors import CredentialsError
from ingestor.model.finding import Finding
from ingestor.model.ports import Pace
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply


class HttpService:
    """A workspace of AIDP or an MLflow server; implements the port `Target`. Use it as an async context manager.

    Args:
        endpoint: where the service is.
        signer: opened and closed with the target.
        transport: opened and closed with the target.
        user_principal: the API's header dh-user-principal, passed through as it is.
        now: our clock, in seconds since the epoch.

    Entering raises CredentialsError.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        signer: Signer,
        transport: Transport,
        *,
        user_principal: str | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._endpoint = endpoint
        self._signer = signer
        self._transport = transport
        self._now = now
        self._headers = _headers(user_principal)
        self._opened = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as opening:
            opening.push_async_callback(self._signer.aclose)
            await self._signer.open()
            await opening.enter_async_context(self._transport)
            self._opened = opening.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    async def create(self, job: Job, *, stamped: bool) -> Reply:
        """Send one attempt for a job (see `Target.create`)."""
        return await self.send(request_body(job, stamped=stamped), job.token, new_request_id())

    async def send(self, body: bytes, token: str, request_id: str) -> Reply:
        """Send one attempt with this body, retry token and opc-request-id, as `create` does."""
        headers = self._headers | {"opc-request-id": request_id, "opc-retry-token": token}
        result = await self._send(self._endpoint.create_url, headers, body)
        return reply_to_create(result, request_id, self._now())

    async def find(self, token: str, experiment_id: str | None, pace: Pace) -> Finding:
        """Search for the run that carries a token (see `Target.find`)."""
        return await Search(self._endpoint, self.ask, pace).find(token, experiment_id)

    async def probe(self) -> Reply:
        """Search for one experiment (see `Target.probe`)."""
        reply, _ = await self.ask(Question(self._endpoint.search_experiments_url, PROBE))
        return reply

    async def renew_credentials(self) -> bool:
        """Look for newer credentials (see `Target.renew_credentials`)."""
        return await self._signer.renew()

    async def ask(self, question: Question) -> tuple[Reply, bytes]:
        """Send a question, which changes nothing, and return what came of it and the body of the answer."""
        request_id = new_request_id()
        headers = self._headers | {"opc-request-id": request_id}
        result = await self._send(question.url, headers, question.body)
        return reply_to_probe(result, request_id, self._now()), unpacked_body(result)

    async def _send(self, url: URL, headers: dict[str, str], body: bytes) -> Answer | TransportFailure:
        try:
            headers |= await self._signer.headers("POST", url, body)
        except CredentialsError as error:
            return TransportFailure(Fault.UNSIGNED, str(error), 0.0)
        return _without(headers.get("authorization", ""), await self._transport.post(url, headers, body))


def _without(authorization: str, result: Answer | TransportFailure) -> Answer | TransportFailure:
    """Take our credentials out of an answer that quotes them."""
    secret = authorization.rpartition(" ")[2].encode()
    if not secret or isinstance(result, TransportFailure) or secret not in result.body:
        return result
    return replace(result, body=result.body.replace(secret, b"[credentials]"))


def make_target(options: TargetOptions) -> HttpService:
    """Put a target together; nothing is read or opened before it is entered. Raises UsageError (see `check`)."""
    check(options)
    transport = Transport(options.endpoint.create_url, connections=options.connections, timeout=options.timeout)
    signer = make_signer(options.auth)
    return HttpService(options.endpoint, signer, transport, user_principal=options.user_principal)


def _headers(user_principal: str | None) -> dict[str, str]:
    headers = {
        "user-agent": f"ingestor/{__version__}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": CONTENT_TYPE,
    }
    if user_principal is None:
        return headers
    return headers | {"dh-user-principal": user_principal}
