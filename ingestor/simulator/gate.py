"""What a request must pass first: the signature of its caller, and the limits of the service.

A client learns the limits only when it exceeds them.
"""

import base64
import hashlib
import hmac
import math
import re
from collections.abc import Callable
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from random import Random

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from ingestor.model.errors import UsageError
from ingestor.simulator.limiters import AtOnce, InSeries, TokenBucket
from ingestor.simulator.options import RetryAfter, SimulatorOptions
from ingestor.simulator.wire import ApiError, HttpRequest


class Throttle:
    """Refuses what a limit does not admit with 429 TooManyRequests: concurrency, then the rate, then the limiter."""

    def __init__(self, options: SimulatorOptions, now: Callable[[], float]) -> None:
        self._options = options
        self._now = now
        self._bucket = None if options.rate is None else TokenBucket(options.rate, options.burst)
        self._at_once = None if options.concurrency is None else AtOnce(options.concurrency)
        self._limiter = options.limiter and options.limiter.make(Random(options.seed))  # noqa: S311 - repeatable
        self._series = self._in_series()

    def set_rate(self, rate: float | None) -> None:
        """Change the rate; None removes it. Unused tokens stay, up to the new burst."""
        if rate is None:
            self._bucket = None
        elif self._bucket is None:
            self._bucket = TokenBucket(rate, self._options.burst)
        else:
            self._bucket.set_rate(rate, self._now())
        self._series = self._in_series()

    def check(self, in_flight: int) -> float:
        """Admit a request, itself counted in `in_flight`, or raise ApiError (429).

        Returns the seconds that the request waits in a queue of the limiter.
        """
        now = self._now()
        wait = self._series.admit(now, in_flight)
        if wait is None:
            raise self._refusal(now)
        return wait

    def _in_series(self) -> InSeries:
        return InSeries([limiter for limiter in (self._at_once, self._bucket, self._limiter) if limiter])

    def _refusal(self, now: float) -> ApiError:
        form, headers = self._options.retry_after, {}
        wait = max(0.0, self._series.retry_after(now))
        if isinstance(form, int):
            headers["Retry-After"] = str(form)
        elif form is RetryAfter.SECONDS:
            headers["Retry-After"] = str(math.ceil(wait))
        elif form is RetryAfter.DATE:
            headers["Retry-After"] = formatdate(math.ceil(now + wait), usegmt=True)
        return ApiError(429, "TooManyRequests", "Too many requests in a short period.", headers)


CLOCK_SKEW = 300.0
"""Seconds that a signature's date may differ from the service's clock."""

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_GENERAL_HEADERS = frozenset({"date", "(request-target)", "host"})
_BODY_HEADERS = frozenset({"content-length", "content-type", "x-content-sha256"})


class SignatureVerifier:
    """Admits the caller that the options name, by signature or by bearer token; every caller, if they name none."""

    def __init__(self, options: SimulatorOptions, now: Callable[[], float]) -> None:
        self._key = _load_public_key(options.public_key_file) if options.public_key_file else None
        self._key_id = options.key_id
        self._bearer_token = options.bearer_token
        self._now = now

    def check(self, request: HttpRequest) -> None:
        """Admit a request, or raise ApiError (401 NotAuthenticated)."""
        if self._key is None and self._bearer_token is None:
            return
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self._bearer_token is not None:
            if not hmac.compare_digest(credentials.encode(), self._bearer_token.encode()):
                raise _unauthenticated("The bearer token is wrong.")
        elif scheme.lower() == "signature" and self._key is not None:
            self._check_signature(self._key, request, dict(_PARAMETER.findall(credentials)))
        else:
            raise _unauthenticated("The Authorization header is missing or of the wrong kind.")

    def _check_signature(self, key: RSAPublicKey, request: HttpRequest, parameters: dict[str, str]) -> None:
        if (parameters.get("version"), parameters.get("algorithm")) != ("1", "rsa-sha256"):
            raise _unauthenticated("The signature is not of version 1 and rsa-sha256.")
        if parameters.get("keyId") != self._key_id:
            raise _unauthenticated("The keyId is not known.")
        names = parameters.get("headers", "").split(" ")
        has_body = request.method in {"POST", "PUT", "PATCH"}
        if not (_GENERAL_HEADERS | _BODY_HEADERS if has_body else _GENERAL_HEADERS) <= set(names):
            raise _unauthenticated("The signature does not cover every required header.")
        self._check_date(request.headers.get("date", ""))
        if has_body:
            _check_body(request)
        try:
            signature = base64.b64decode(parameters.get("signature", ""), validate=True)
            key.verify(signature, _signing_string(request, names), PKCS1v15(), SHA256())
        except (ValueError, InvalidSignature):
            raise _unauthenticated("The signature does not match the request.") from None

    def _check_date(self, date: str) -> None:
        now = self._now()
        try:
            signed_at = parsedate_to_datetime(date).timestamp()
        except ValueError:
            raise _unauthenticated("The Date header is missing or not an HTTP date.") from None
        if abs(now - signed_at) > CLOCK_SKEW:
            clock = formatdate(now, usegmt=True)
            raise _unauthenticated(f"The date {date} is outside the allowed clock skew: the clock here says {clock}.")


def _check_body(request: HttpRequest) -> None:
    digest = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
    if request.headers.get("x-content-sha256") != digest:
        raise _unauthenticated("x-content-sha256 is not the hash of the body.")
    if request.headers.get("content-length") != str(len(request.body)):
        raise _unauthenticated("content-length is not the length of the body.")


def _signing_string(request: HttpRequest, names: list[str]) -> bytes:
    lines = []
    for name in names:
        if name == "(request-target)":
            value = f"{request.method.lower()} {request.target}"
        elif name in request.headers:
            value = request.headers[name]
        else:
            raise _unauthenticated(f"The signature covers the header {name}, which is not there.")
        lines.append(f"{name}: {value}")
    return "\n".join(lines).encode()


def _unauthenticated(message: str) -> ApiError:
    return ApiError(401, "NotAuthenticated", f"The caller could not be authenticated. {message}")


def _load_public_key(path: Path) -> RSAPublicKey:
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"The public key file {path} can't be read as a PEM public key: {error}") from error
    if not isinstance(key, RSAPublicKey):
        raise UsageError(f"The public key file {path} contains a key that is not RSA. OCI signs with RSA.")
    return key
