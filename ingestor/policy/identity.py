"""The identity of a job: its canonical body, its key and its retry tokens.

All are pure functions of the record and the batch, so any process on any machine derives the same ones. Do not change
them: a change makes finished records look new.
"""

import hashlib
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ingestor.model.record import Job, Line, RunDetails
from ingestor.model.text import printable

STAMP = "ingestor.token"
"""The tag that carries a job's retry token on its run. A look-up finds the run by it."""

TOKEN_LIFE = 24 * 3600.0
"""How long a retry token lives, seconds (API page, header opc-retry-token)."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key is unique in: `platform` and `workspace` (or the tracking URI and ""), and the batch's name."""

    platform: str
    workspace: str
    batch: str

    @property
    def target(self) -> str:
        """The target in words, printable."""
        return printable(" ".join(filter(None, (self.platform, self.workspace))), 1000)

    @property
    def display(self) -> str:
        """The batch and its target in words, printable."""
        return f"batch {printable(self.batch)}, to {self.target}"


class Tag(Struct, forbid_unknown_fields=True, gc=False):
    """A tag of a body."""

    key: str
    value: str


class RunBody(Struct, gc=False):
    """The canonical body of create: its members in this order, without those that are UNSET.

    `tags` is always present, sorted by distinct keys, and last: `stamped_body` relies on that.
    """

    experiment_id: str | UnsetType
    run_name: str | UnsetType
    start_time: int | UnsetType
    tags: list[Tag]


encoded = msgspec.json.Encoder().encode
"""Compact JSON in UTF-8 that escapes only what must be escaped. Sorted tags make a body canonical."""


def canonical_body(details: RunDetails) -> bytes:
    """Encode a run's details as the body of create: compact JSON, tags sorted, absent members left out."""
    return encoded(
        RunBody(
            UNSET if details.experiment_id is None else details.experiment_id,
            UNSET if details.run_name is None else details.run_name,
            UNSET if details.start_time is None else details.start_time,
            [Tag(key, value) for key, value in sorted(details.tags)],
        )
    )


def stamped_body(body: bytes, token: str) -> bytes:
    """Return a canonical body with the tag `ingestor.token` added."""
    stamp = encoded({"key": STAMP, "value": token})
    separator = b"" if body.endswith(b"[]}") else b","
    return body.removesuffix(b"]}") + separator + stamp + b"]}"


def make_job(line: Line, job_id: str | None, details: RunDetails, scope: Scope) -> Job:
    """Return the job of a valid record."""
    return identify(line, job_id, details.experiment_id, canonical_body(details), scope)


def identify(line: Line, job_id: str | None, experiment_id: str | None, body: bytes, scope: Scope) -> Job:
    """Return the job of a valid record whose canonical body is known."""
    digest = hashlib.sha256(body).digest()
    key = job_id if job_id is not None else f"sha256:{digest.hex()}"
    return Job(line.origin, key, body, digest, retry_token(scope, key), experiment_id, line.raw)


def retry_token(scope: Scope, key: str, generation: int = 0) -> str:
    """Derive the retry token of a job's create: 64 hexadecimal digits, the longest that the API allows.

    A new `generation` is for a job whose earlier token no longer protects and that certainly has no run.
    """
    identity: list[object] = [scope.platform, scope.workspace, scope.batch, key]
    if generation:
        identity.append(generation)
    return hashlib.sha256(encoded(identity)).hexdigest()


def reject_digest(text: str, source: str | None = None) -> bytes:
    """Return the identity of a rejected record: the SHA-256 of its text as it stood in the input.

    A source of another format is one reject as a whole: `source` is its name, and `text` is how it begins. Another
    source that begins so, such as a table with the same columns, is another reject.
    """
    identity = text if source is None else f"{source}\0{text}"
    return hashlib.sha256(identity.encode(errors="surrogatepass")).digest()


def step_token(token: str, index: int, body: bytes) -> str:
    """Derive the retry token of a step from the token of create: 64 hexadecimal digits.

    The body is part of it: it is not documented what a service does with the same token and another body.
    """
    return hashlib.sha256(encoded([token, index, hashlib.sha256(body).hexdigest()])).hexdigest()
