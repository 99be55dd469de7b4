"""How requests get in and answers get out, or fail to."""

import asyncio
import struct
from email.utils import formatdate
from functools import lru_cache
from socket import SO_LINGER, SOL_SOCKET
from typing import NoReturn

from aiohttp import web

from ingestor.simulator.exchange import JSON, Answer, ApiError, Call

LARGEST_BODY = 32 * 2**20
"""Bytes in a request body, at most."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


async def read_call(request: web.BaseRequest) -> Call:
    """Read a request whole. Raises ApiError (413) for a body beyond LARGEST_BODY."""
    try:
        body = await request.read()
    except web.HTTPRequestEntityTooLarge:
        message = f"A request body may have {LARGEST_BODY} bytes."
        raise ApiError(413, "RequestEntityTooLarge", message) from None
    return Call(
        method=request.method,
        path=request.path,
        target=request.raw_path,
        query=request.query,
        headers=request.headers,
        body=body,
    )


def headers_of(answer: Answer, request_id: str, now: float) -> dict[str, str]:
    """Return an answer's headers; a proxy's HTML page knows of no request id."""
    headers = {"Date": _http_date(int(now)), "Content-Type": answer.content_type, **answer.headers}
    if answer.content_type == JSON:
        headers["opc-request-id"] = request_id
    return headers


async def break_off(request: web.BaseRequest, answer: Answer, headers: dict[str, str]) -> web.StreamResponse:
    """Send the first half of an answer that announces its whole length, and close the connection."""
    whole = {**headers, "Content-Length": str(len(answer.body))}
    response = web.StreamResponse(status=answer.status, headers=whole)
    await response.prepare(request)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def reset(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection (TCP RST) and return a response that will reach nobody."""
    if request.transport is not None:
        request.transport.get_extra_info("socket").setsockopt(SOL_SOCKET, SO_LINGER, _RESET_ON_CLOSE)
        request.transport.abort()
    return web.Response()


async def wait_to_be_cancelled() -> NoReturn:
    """Never return: the server cancels whoever serves a client that has left, and everyone at its end."""
    while True:
        await asyncio.Event().wait()


@lru_cache(maxsize=4)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
