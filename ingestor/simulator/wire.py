"""Requests as they arrive, responses as they leave, and the ways in which a response can get lost."""

import asyncio
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from secrets import token_hex
from socket import SO_LINGER, SOL_SOCKET
from typing import NoReturn

from aiohttp import web

JSON = "application/json"
HTML = "text/html"

MAX_BODY = 32 * 2**20
"""The largest request body, in bytes."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]+")
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it arrived. `target` is the path and query exactly as they were sent; `headers` ignore case."""

    method: str
    path: str
    target: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """A response without the headers that every response has."""

    status: int = 200
    body: bytes
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


class ApiError(Exception):
    """A refusal in the API's shape, `{"code", "message"}`."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}

    def response(self) -> HttpResponse:
        """Return the refusal as a response."""
        return json_response({"code": self.code, "message": self.message}, self.status, self.headers)


def json_response(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpResponse:
    """Return a response with a JSON body."""
    return HttpResponse(status=status, body=json.dumps(document, allow_nan=False).encode(), headers=headers or {})


def invalid_parameter(message: str) -> ApiError:
    """Return the refusal of a value: 400 InvalidParameter."""
    return ApiError(400, "InvalidParameter", message)


def unreadable(message: str) -> ApiError:
    """Return the refusal of a body that does not have the operation's shape: 400 CannotParseRequest."""
    return ApiError(400, "CannotParseRequest", message)


def not_found(message: str) -> ApiError:
    """Return 404 NotAuthorizedOrNotFound: OCI does not say which of the two it is."""
    return ApiError(404, "NotAuthorizedOrNotFound", message)


class RequestIds:
    """Makes opc-request-ids in three parts: the client's, this service's, and one for the request."""

    def __init__(self) -> None:
        self._service = token_hex(16).upper()
        self._count = 0

    def answer_to(self, sent: str | None) -> str:
        """Return the id to answer with. A random part replaces a client's part that is missing or not allowed."""
        self._count += 1
        first = sent if sent is not None and _REQUEST_ID.fullmatch(sent) else token_hex(16).upper()
        return f"{first}/{self._service}/{self._count:032X}"


def check_request_id(sent: str | None) -> None:
    """Raise ApiError (400) for an opc-request-id with characters other than letters, digits, `_` and `-`."""
    if sent is not None and not _REQUEST_ID.fullmatch(sent):
        raise invalid_parameter("opc-request-id may contain letters, digits, underscore and dash only.")


async def read_request(request: web.BaseRequest) -> HttpRequest:
    """Read a complete request. Raises ApiError (413) for a body beyond MAX_BODY."""
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, "RequestEntityTooLarge", f"A request body may have {MAX_BODY} bytes.") from None
    return HttpRequest(
        method=request.method,
        path=request.path,
        target=request.raw_path,
        query=request.query,
        headers=request.headers,
        body=body,
    )


def headers_of(response: HttpResponse, request_id: str, now: float) -> dict[str, str]:
    """Return all headers of a response. A proxy's HTML page has no request id."""
    headers = {"Date": _http_date(int(now)), "Content-Type": response.content_type, **response.headers}
    if response.content_type == JSON:
        headers["opc-request-id"] = request_id
    return headers


async def send_half(request: web.BaseRequest, response: HttpResponse, headers: dict[str, str]) -> web.StreamResponse:
    """Announce the whole length of a response, send the first half of its body, and close the connection."""
    whole = {**headers, "Content-Length": str(len(response.body))}
    stream = web.StreamResponse(status=response.status, headers=whole)
    await stream.prepare(request)
    await stream.write(response.body[: len(response.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return stream


def send_malformed(request: web.BaseRequest, response: HttpResponse, headers: dict[str, str]) -> web.StreamResponse:
    """Send a response with two lengths, one of them wrong, and close the connection."""
    lengths = [("Content-Length", str(len(response.body) + more)) for more in (0, 1)]
    lines = [f"{name}: {value}\r\n" for name, value in [*headers.items(), *lengths]]
    if request.transport is not None:
        head = f"HTTP/1.1 {response.status} OK\r\n{''.join(lines)}\r\n"
        request.transport.write(head.encode() + response.body)
        request.transport.close()
    return web.Response()


def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection (TCP RST). The server needs a response to continue, but nothing is sent."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()


async def wait_to_be_cancelled() -> NoReturn:
    """Never return. The server cancels the handler when the client leaves, and when the server stops."""
    while True:
        await asyncio.Event().wait()


@lru_cache(maxsize=4)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
