"""What a server takes and gives: requests, answers, and the routes that lead from one to the other."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
HTML = "text/html; charset=utf-8"


class BrokenBodyError(Exception):
    """The body of a request is cut short, or breaks HTTP: `str()` says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that may be answered. Everything in it is hostile text.

    Attributes:
        method: GET or HEAD, or another one that the route allows.
        path: decoded.
        query: the parameters; of several with one name, the first.
        headers: by name, in any case of letters.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    _content: web.BaseRequest | None = field(default=None, repr=False)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, compressed as it was sent. Raises BrokenBodyError.

        A client that waits for `100 Continue` gets it now: before this call, an answer saves it the upload.
        """
        if self._content is None:
            return
        if self.headers.get("Expect", "").lower() == "100-continue":
            await self._content.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._content.writer.output_size = 0
        try:
            async for piece in self._content.content.iter_any():
                yield piece
        except web.RequestPayloadError as error:
            raise BrokenBodyError("the body is cut short, or breaks HTTP") from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer. `headers` replace the default ones of the same name."""

    status: int = 200
    body: bytes = b""
    content_type: str = TEXT
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What answers at one path.

    Attributes:
        handler: makes the answer.
        methods: what is allowed; another method gets a 405.
        is_open: whether no token is needed.
        sign_in: answers a request without the token; None: a 401 in plain text.
    """

    handler: Handler
    methods: frozenset[str] = frozenset({"GET", "HEAD"})
    is_open: bool = False
    sign_in: Handler | None = None


class Explain(Protocol):
    """Makes an answer that says what is wrong."""

    def __call__(self, status: int, text: str, **headers: str) -> Response:
        """Return the answer, with more headers."""
        ...


def problem(status: int, text: str, **headers: str) -> Response:
    """Return an answer that says what is wrong."""
    return Response(status=status, body=f"{text}\n".encode(), headers=headers)
