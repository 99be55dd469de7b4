"""From a job to the bytes of a request, and from the bytes of an answer to a `Reply`. Pure."""

import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from random import Random
from typing import NamedTuple

from ingestor.api.schema import CreateExperimentRunResponseDetails, Error, read
from ingestor.api.text import one_line
from ingestor.model.record import Job
from ingestor.model.reply import Fault, Reply
from ingestor.model.value import value
from ingestor.policy.identity import stamped_body

BODY_LIMIT = 1024 * 1024
"""Bytes that are kept of an answer, beside what it may repeat of its request."""

_ESCAPED = 6  # bytes that JSON may need for one: a run's tags come back, perhaps as \uXXXX

_REQUEST_ID_LIMIT = 256
_CODE_LIMIT = 100
_SECONDS = re.compile(r"-?\d{1,18}(\.\d{1,18})?", re.ASCII)
_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS


@value(frozen=True, slots=True)
class Answer:
    """An HTTP answer as it came. `headers` are looked up without regard to case.

    `body` has at most `limit` bytes, and again once it is unpacked (see `answer_limit`).
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_ms: float
    limit: int = BODY_LIMIT


@dataclass(frozen=True, slots=True)
class TransportFailure:
    """Why there is no answer; `detail` is one plain line."""

    fault: Fault
    detail: str
    latency_ms: float


class _Told(NamedTuple):
    """What a body says."""

    message: str = ""
    code: str | None = None
    run_id: str | None = None
    experiment_id: str | None = None


_draw = Random().getrandbits  # noqa: S311 - seeded by the system, which is asked once and not for each attempt


def new_request_id() -> str:
    """Return 32 upper-case hex digits, as the SDK sends them: unlike all others, but no secret."""
    return f"{_draw(128):032X}"


def answer_limit(request: bytes) -> int:
    """Return how many bytes are kept of the answer to a request with this body: it may repeat the whole of it."""
    return BODY_LIMIT + _ESCAPED * len(request)


def request_body(job: Job, *, stamped: bool) -> bytes:
    """Return the body of a job's attempts: always the same bytes for the same job and `stamped`."""
    return stamped_body(job.body, job.token) if stamped else job.body


def reply_to_create(result: Answer | TransportFailure, request_id: str, now: float) -> Reply:
    """Read what became of a create. `now` is our clock when the answer came, in seconds since the epoch."""
    if isinstance(result, TransportFailure):
        return _reply_to_nothing(result, request_id)
    told = _run(_unpacked(result)) if _succeeded(result) else _refusal(result)
    return _reply(result, told, request_id, now)


def reply_to_probe(result: Answer | TransportFailure, request_id: str, now: float) -> Reply:
    """Read the answer to a harmless question: only whether it was granted matters."""
    if isinstance(result, TransportFailure):
        return _reply_to_nothing(result, request_id)
    return _reply(result, _Told() if _succeeded(result) else _refusal(result), request_id, now)


def unpacked_body(result: Answer | TransportFailure) -> bytes:
    """Return the body of an answer, without a compression that nobody asked for."""
    return b"" if isinstance(result, TransportFailure) else _unpacked(result)


def _reply_to_nothing(broken: TransportFailure, request_id: str) -> Reply:
    return Reply(
        fault=broken.fault,
        message=broken.detail,
        opc_client_request_id=request_id,
        latency_ms=broken.latency_ms,
    )


def _reply(answer: Answer, told: _Told, request_id: str, now: float) -> Reply:
    date = _http_date(answer.headers.get("Date", ""))
    service_id = answer.headers.get("opc-request-id")
    return Reply(
        status=answer.status,
        code=told.code,
        message=told.message,
        run_id=told.run_id,
        experiment_id=told.experiment_id,
        retry_after=_retry_after(answer.headers.get("Retry-After", ""), now if date is None else date),
        clock_skew=None if date is None else date - now,
        opc_request_id=None if service_id is None else one_line(service_id, _REQUEST_ID_LIMIT),
        opc_client_request_id=request_id,
        latency_ms=answer.latency_ms,
    )


def _succeeded(answer: Answer) -> bool:
    return 200 <= answer.status < 300


def _run(body: bytes) -> _Told:
    try:
        run = read(CreateExperimentRunResponseDetails, body).run
    except ValueError:
        run = None
    info = run.info if run is not None else None
    run_id = (info.run_id or info.run_uuid) if info is not None else None
    if info is None or not run_id:
        return _Told(message=one_line(f"The answer names no run: {_text(body) or 'it is empty'}"))
    return _Told(run_id=run_id, experiment_id=info.experiment_id)


def _refusal(answer: Answer) -> _Told:
    body = _unpacked(answer)
    try:
        error = read(Error, body)
    except ValueError:
        error = Error()
    code = error.code or error.error_code
    message = one_line(error.message or _text(body)) or _redirection(answer)
    return _Told(message=message, code=one_line(code, _CODE_LIMIT) if code else None)


def _redirection(answer: Answer) -> str:
    location = answer.headers.get("Location")
    return one_line(f"Redirected to {location.partition('?')[0]}") if location else ""


def _text(body: bytes) -> str:
    return body.decode(errors="replace")


def _unpacked(answer: Answer) -> bytes:
    """Undo a compression that nobody asked for; what can't be unpacked is left as it came."""
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        return answer.body
    for window in (_GZIP_OR_ZLIB, -zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(window).decompress(answer.body, answer.limit)
        except zlib.error:
            continue
    return answer.body


def _retry_after(value: str, now: float) -> float | None:
    """Return the seconds that Retry-After asks for, in either form (RFC 9110, 10.2.3); never negative."""
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return max(0.0, float(text))
    date = _http_date(text)
    return None if date is None else max(0.0, date - now)


@lru_cache(maxsize=64)
def _http_date(text: str) -> float | None:
    """Return an HTTP date in seconds since the epoch, None for what is none. Cached: one second's answers share one."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
