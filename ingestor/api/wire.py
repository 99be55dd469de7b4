"""From an HTTP answer to a `Reply`. Pure."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from random import Random
from typing import NamedTuple

from ingestor.api.responses import Error, created_run, is_json, read
from ingestor.model.reply import Fault, Reply
from ingestor.model.request import Operation, Request
from ingestor.model.text import one_line
from ingestor.model.value import value

BODY_LIMIT = 1024 * 1024
"""Bytes that are kept of an answer, in addition to what it may repeat of its request."""

_ESCAPED = 6  # bytes that JSON may need for one: a run's tags come back, perhaps as \uXXXX

UNCUT = 16 * 1024
"""Characters that are kept of a service's message until no secret is in it: it may quote one that is long."""

_DENIED = b"Permission denied"  # the body of MLflow's 403, in plain text
_DENIED_CODE = "PERMISSION_DENIED"  # MLflow's code for the same

_REQUEST_ID_LIMIT = 256
_CODE_LIMIT = 100
_SECONDS = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)
_GZIP = (16 + zlib.MAX_WBITS,)
_WINDOWS = {"gzip": _GZIP, "x-gzip": _GZIP, "deflate": (zlib.MAX_WBITS, -zlib.MAX_WBITS)}
SEARCHES = frozenset({Operation.SEARCH_RUNS, Operation.SEARCH_EXPERIMENTS, Operation.GET_EXPERIMENT})
"""The operations whose answers `api.search` reads."""


@value(frozen=True, slots=True)
class HttpResponse:
    """An HTTP answer. `headers` are looked up without regard to case; `body` is decompressed and may be cut short."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_ms: float


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """Why there is no answer; `detail` is one printable line."""

    fault: Fault
    detail: str
    latency_ms: float


class _Content(NamedTuple):
    """The meaning of a body. A fault means that the service did not write it."""

    message: str = ""
    code: str | None = None
    run_id: str | None = None
    experiment_id: str | None = None
    fault: Fault | None = None


_random_bits = Random().getrandbits  # noqa: S311 - seeded by the system, once and not for each attempt


def new_request_id() -> str:
    """Return a new opc-request-id: 32 upper-case hex digits, as the SDK sends them. It is no secret."""
    return f"{_random_bits(128):032X}"


def response_limit(body: bytes) -> int:
    """Return how many bytes are kept of the answer to a request with this body, which it may repeat."""
    return BODY_LIMIT + _ESCAPED * len(body)


def unpack(body: bytes, encoding: str, limit: int) -> bytes:
    """Decompress at most `limit` bytes of a body; one that can't be decompressed is returned unchanged.

    No request asks for compression, and some proxies compress all the same.
    """
    for window in _WINDOWS.get(encoding.strip().lower(), ()):
        try:
            return zlib.decompressobj(window).decompress(body, limit)
        except zlib.error:
            continue
    return body


def reply_to(request: Request, result: HttpResponse | TransportFailure, request_id: str, now: float) -> Reply:
    """Return the reply to an attempt.

    A 2xx answer to create must name its run to be a success (see `Reply.run_id`). The answer to a step must be empty or
    JSON: a proxy's page in its place is the fault GARBLED. What is no answer to a search is in the message. `now` is
    our clock when the answer came, in seconds since the epoch. The message is not cut yet (see `UNCUT`).
    """
    if isinstance(result, TransportFailure):
        return Reply(
            fault=result.fault, message=result.detail, opc_client_request_id=request_id, latency_ms=result.latency_ms
        )
    content, headers = _content(request.operation, result), result.headers
    date = _http_date(headers.get("Date", ""))
    retry_after, service_id = headers.get("Retry-After"), headers.get("opc-request-id")
    return Reply(
        status=result.status if content.fault is None else None,
        fault=content.fault,
        code=content.code,
        message=content.message,
        run_id=content.run_id,
        experiment_id=content.experiment_id,
        retry_after=None if retry_after is None else _seconds(retry_after, now if date is None else date),
        clock_skew=None if date is None else date - now,
        opc_request_id=None if service_id is None else one_line(service_id, _REQUEST_ID_LIMIT),
        opc_client_request_id=request_id,
        latency_ms=result.latency_ms,
    )


def _content(operation: Operation, response: HttpResponse) -> _Content:
    if not 200 <= response.status < 300:
        return _refusal(response)
    if operation is Operation.CREATE_RUN:
        return _created(response.body)
    if operation in SEARCHES:
        is_object = response.body[:100].lstrip().startswith(b"{")
        return _Content("" if is_object else one_line(_text(response.body) or "it is empty", UNCUT))
    if not response.body or is_json(response.body):
        return _Content()
    text = one_line(f"The answer is not the service's: {_text(response.body)}", UNCUT)
    return _Content(text, fault=Fault.GARBLED)


def _created(body: bytes) -> _Content:
    try:
        run_id, experiment_id = created_run(body)
    except ValueError:
        run_id = experiment_id = None
    if run_id is None:
        return _Content(one_line(f"The answer names no run: {_text(body) or 'it is empty'}", UNCUT))
    return _Content(run_id=run_id, experiment_id=experiment_id)


def _refusal(response: HttpResponse) -> _Content:
    try:
        error = read(Error, response.body)
    except ValueError:
        error = Error()
    is_denied = response.status == 403 and response.body.strip() == _DENIED
    code = error.code or error.error_code or (_DENIED_CODE if is_denied else None)
    message = one_line(error.message or _text(response.body), UNCUT) or _redirection(response)
    if response.status == 407:
        message = f"a proxy in between requires credentials: {message}".removesuffix(": ")
    return _Content(message, one_line(code, _CODE_LIMIT) if code else None)


def _redirection(response: HttpResponse) -> str:
    location = response.headers.get("Location")
    return one_line(f"Redirected to {location.partition('?')[0]}") if location else ""


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


def _seconds(retry_after: str, now: float) -> float | None:
    """Return the seconds that Retry-After asks for, in either form (RFC 9110, 10.2.3); never negative."""
    text = retry_after.strip()
    if _SECONDS.fullmatch(text):
        return max(0.0, float(text))
    date = _http_date(text)
    return None if date is None else max(0.0, date - now)


@lru_cache(maxsize=64)
def _http_date(text: str) -> float | None:
    """Return an HTTP date in seconds since the epoch, None for other text. The answers of one second share a date."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
