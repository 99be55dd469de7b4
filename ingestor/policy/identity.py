"""Who a job is: its canonical body, its key and its retry token.

All three are pure functions of the record and the batch, so that any process on any machine derives the same
ones. They are frozen: changing any of them would make finished work look new.
"""

import hashlib
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ingestor.model.record import Job, Line, RunDetails

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


class Tag(Struct, forbid_unknown_fields=True, gc=False):
    """A tag as it stands in a body."""

    key: str
    value: str


class RunBody(Struct, gc=False):
    """A run's details as they stand in the canonical body, in this order; UNSET is left out.

    `tags` is always there, sorted by distinct keys, and always last, which `stamped_body` relies on.
    """

    experiment_id: str | UnsetType
    run_name: str | UnsetType
    start_time: int | UnsetType
    tags: list[Tag]


def run_body(details: RunDetails) -> RunBody:
    """Put a run's details in the form of a body."""
    return RunBody(
        UNSET if details.experiment_id is None else details.experiment_id,
        UNSET if details.run_name is None else details.run_name,
        UNSET if details.start_time is None else details.start_time,
        [Tag(key, value) for key, value in sorted(details.tags)],
    )


def encoded(run: RunBody) -> bytes:
    """Encode a body, in its canonical form where its tags are sorted."""
    return _compact(run)


def canonical_body(details: RunDetails) -> bytes:
    """Encode a run's details as the request body: compact JSON, members and tags sorted, absent fields left out."""
    return encoded(run_body(details))


def stamped_body(body: bytes, token: str) -> bytes:
    """Return a canonical body with the tag `ingestor.token` added."""
    stamp = _compact({"key": STAMP, "value": token})
    separator = b"" if body.endswith(b"[]}") else b","
    return body.removesuffix(b"]}") + separator + stamp + b"]}"


def make_job(line: Line, job_id: str | None, details: RunDetails, scope: Scope) -> Job:
    """Give a valid record its identity."""
    return identify(line, job_id, details.experiment_id, canonical_body(details), scope)


def identify(line: Line, job_id: str | None, experiment_id: str | None, body: bytes, scope: Scope) -> Job:
    """Give a valid record its identity, from its canonical body."""
    digest = hashlib.sha256(body).digest()
    key = job_id if job_id is not None else f"sha256:{digest.hex()}"
    return Job(line.origin, key, body, digest, retry_token(scope, key), experiment_id, line.raw)


def retry_token(scope: Scope, key: str, generation: int = 0) -> str:
    """Derive a job's retry token: 64 hex digits, the most the API allows.

    A new `generation` is for a job whose earlier token has expired and that surely has no run.
    """
    identity: list[object] = [scope.platform, scope.workspace, scope.batch, key]
    if generation:
        identity.append(generation)
    return hashlib.sha256(_compact(identity)).hexdigest()


_compact = msgspec.json.Encoder().encode
"""Compact JSON in UTF-8, in which nothing is escaped but what has to be."""
