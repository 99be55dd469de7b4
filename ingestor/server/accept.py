"""`POST /runs`: other programs send records, and get an answer once these are on disk."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from types import MappingProxyType

from ingestor.model.acceptance import LARGEST, Acceptance, NotAcceptedError, Posted, Receiver, Refusal, too_large
from ingestor.server.access import Access
from ingestor.server.address import Address
from ingestor.server.connection import Limits
from ingestor.server.http import HttpServer
from ingestor.server.messages import JSON, BrokenBodyError, Request, Response, Route

PATH = "/runs"

TYPES = frozenset(
    {"application/json", "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"}
)
"""What a body may be. A web page can send none of them to a foreign site without asking it first."""

_UPLOAD = 45.0  # seconds that a request may take
_LIMITS = Limits(connections=256, request_seconds=_UPLOAD + 15, idle_seconds=75.0)
_MOST_HELD = 2 * LARGEST  # bytes of all bodies that are in memory


class Acceptor:
    """Answers `POST /runs`. Until it has a receiver, it asks its clients to come back."""

    def __init__(self) -> None:
        self.receiver: Receiver | None = None
        self.held = 0
        self.counts = Acceptance()

    def server(self, address: Address, access: Access, names: frozenset[str] = frozenset()) -> HttpServer:
        """Return the server at an address."""
        routes = {PATH: Route(handler=self._post, methods=frozenset({"POST"}))}
        return HttpServer(
            address,
            routes,
            access,
            names=names,
            limits=_LIMITS,
            option="--accept",
            explain=_problem,
            answered=self.counts.answered,
        )

    async def _post(self, request: Request) -> Response:
        if self.receiver is None:
            return _problem(503, "records are not accepted yet: the state directory is being opened", **_AFTER_1_S)
        if (unsuitable := _unsuitable(request)) is not None:
            return unsuitable
        try:
            async with self.receiver.receiving(_UPLOAD):
                posted = await self._receive(self.receiver, request)
                self.counts.count(posted)
                return _answer(posted)
        except NotAcceptedError as error:
            self.counts.refuse(error, time.monotonic())
            status, headers = _REFUSALS[error.refusal]
            return _problem(status, str(error), **headers)
        except BrokenBodyError as error:
            return _problem(400, str(error))
        except TimeoutError:
            return _problem(408, f"the request took longer than {_UPLOAD:g} s, or the batch ends: send it again")

    async def _receive(self, receiver: Receiver, request: Request) -> Posted:
        """Read the body, in bounded memory, and accept it."""
        read = bytearray()
        size = 0
        try:
            async for piece in request.pieces():
                read += piece
                size += len(piece)
                self.held += len(piece)
                if size > LARGEST:
                    raise too_large(f"{LARGEST:,} bytes")
                if self.held > _MOST_HELD:
                    raise NotAcceptedError(Refusal.BUSY, "too many large requests at once: send this one later")
            body = bytes(read)
            read.clear()
            return await receiver.accept(body, is_gzip=_encoding(request) == "gzip")
        finally:
            self.held -= size


_AFTER_1_S = MappingProxyType({"Retry-After": "1"})
_REFUSALS: Mapping[Refusal, tuple[int, Mapping[str, str]]] = MappingProxyType(
    {
        Refusal.DAMAGED: (400, {}),
        Refusal.TOO_LARGE: (413, {}),
        Refusal.BUSY: (429, {"Retry-After": "5"}),
        Refusal.NO_SPACE: (507, {"Retry-After": "30"}),
        Refusal.NOT_KEPT: (503, {"Retry-After": "30"}),
        Refusal.CLOSED: (503, {"Connection": "close"}),
    }
)


def _unsuitable(request: Request) -> Response | None:
    """Return the refusal of a request whose headers show that its body can't be accepted."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        return _problem(
            415,
            "send JSON Lines with the header Content-Type: application/x-ndjson, or one record with application/json "
            "(with curl: --data-binary, because -d removes the line ends)",
            Accept=", ".join(sorted(TYPES)),
        )
    if _encoding(request) not in {"", "identity", "gzip"}:
        return _problem(415, "only Content-Encoding: gzip is known; send the records without it, or with gzip")
    if int(request.headers.get("Content-Length", "0")) > LARGEST:
        return _problem(413, str(too_large(f"{LARGEST:,} bytes")))
    return None


def _encoding(request: Request) -> str:
    return request.headers.get("Content-Encoding", "").strip().lower()


def _answer(posted: Posted) -> Response:
    answer: dict[str, object] = {
        "accepted": len(posted.lines),
        "rejected": [asdict(it) for it in posted.rejected],
    }
    if posted.not_listed:
        answer["not_listed"] = posted.not_listed
    if posted.lines:
        return _json(202, answer)
    return _json(400, {**answer, "error": "no record was accepted" if posted.rejected else "the body has no record"})


def _problem(status: int, text: str, **headers: str) -> Response:
    return _json(status, {"error": text}, **headers)


def _json(status: int, answer: Mapping[str, object], **headers: str) -> Response:
    body = json.dumps(answer).encode() + b"\n"
    return Response(status=status, body=body, content_type=JSON, headers=headers)
