"""Who a job is: its canonical body, its key and its retry token.

All three are pure functions of the record and the batch, so that any process on any machine derives the same
ones. They are frozen: changing any of them would make finished work look new.
"""

import hashlib
import json
from dataclasses import dataclass

from ingestor.model.job import Job, Line, RunDetails

STAMP = "ingestor.token"
"""The tag that carries a job's retry token on its run, so that the run can be found again."""

TOKEN_LIFE = 24 * 3600.0
"""Seconds a retry token lives (API page, header opc-retry-token)."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key is unique in: `platform` and `workspace` (or the tracking URI and ""), and the batch's name."""

    platform: str
    workspace: str
    batch: str


def canonical_body(details: RunDetails) -> bytes:
    """Encode a run's details as the request body: compact JSON, members and tags sorted, absent fields left out.

    `tags` is always there and always last, which `stamped_body` relies on.
    """
    body: dict[str, object] = {}
    if details.experiment_id is not None:
        body["experiment_id"] = details.experiment_id
    if details.run_name is not None:
        body["run_name"] = details.run_name
    if details.start_time is not None:
        body["start_time"] = details.start_time
    body["tags"] = [{"key": key, "value": value} for key, value in sorted(details.tags)]
    return _compact(body)


def stamped_body(body: bytes, token: str) -> bytes:
    """Return a canonical body with the tag `ingestor.token` added."""
    stamp = _compact({"key": STAMP, "value": token})
    separator = b"" if body.endswith(b"[]}") else b","
    return body.removesuffix(b"]}") + separator + stamp + b"]}"


def make_job(line: Line, job_id: str | None, details: RunDetails, scope: Scope) -> Job:
    """Give a valid record its identity."""
    body = canonical_body(details)
    digest = hashlib.sha256(body).digest()
    key = job_id if job_id is not None else f"sha256:{digest.hex()}"
    return Job(line.origin, key, body, digest, retry_token(scope, key), details.experiment_id, line.raw)


def retry_token(scope: Scope, key: str, generation: int = 0) -> str:
    """Derive a job's retry token: 64 hex digits, the most the API allows.

    A new `generation` is for a job whose earlier token has expired and that surely has no run.
    """
    identity: list[object] = [scope.platform, scope.workspace, scope.batch, key]
    if generation:
        identity.append(generation)
    return hashlib.sha256(_compact(identity)).hexdigest()


def _compact(value: object) -> bytes:
    return _ENCODER.encode(value).encode()


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
