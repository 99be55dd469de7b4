"""One request and its answer, free of any server library."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

JSON = "application/json"
HTML = "text/html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request as it arrived. `target` is the path and query exactly as on the wire; `headers` ignore case."""

    method: str
    path: str
    target: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is to be sent back."""

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

    def answer(self) -> Answer:
        """Return the refusal as an answer."""
        return json_answer({"code": self.code, "message": self.message}, self.status, self.headers)


def json_answer(document: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a JSON answer."""
    return Answer(status=status, body=json.dumps(document).encode(), headers=headers or {})


def invalid_parameter(message: str) -> ApiError:
    """Return the refusal of a value: 400 InvalidParameter."""
    return ApiError(400, "InvalidParameter", message)


def not_found(message: str) -> ApiError:
    """Return 404 NotAuthorizedOrNotFound: OCI does not say which."""
    return ApiError(404, "NotAuthorizedOrNotFound", message)


def unreadable(message: str) -> ApiError:
    """Return the refusal of a body that can't be understood: 400 CannotParseRequest."""
    return ApiError(400, "CannotParseRequest", message)
