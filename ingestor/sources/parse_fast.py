"""The short way for records that are plainly right: decoded, checked and typed in one pass outside of Python.

It takes no record that `parse_strict` would reject, and reads one just as that does. Whatever is odd in the least is
left to the long way, which costs several times as much; of a migration's records nearly all are plain.
"""

import re
from operator import attrgetter
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ingestor.model.record import Line
from ingestor.policy.identity import STAMP, RunBody, Tag, encoded
from ingestor.sources.parse_strict import EARLIEST, LATEST, LONGEST_JOB_ID

_Name = Annotated[str, Meta(min_length=1)]
_JobId = Annotated[str, Meta(min_length=1, max_length=LONGEST_JOB_ID)]
_Milliseconds = Annotated[int, Meta(ge=EARLIEST, le=LATEST)]


class _Plain(Struct, forbid_unknown_fields=True, gc=False):
    job_id: _JobId | UnsetType = UNSET
    experiment_id: _Name | UnsetType = UNSET
    run_name: str | UnsetType = UNSET
    start_time: _Milliseconds | float | UnsetType = UNSET  # with float beside it, 1.0 does not pass as an int
    tags: list[Tag] | dict[str, str] | UnsetType = UNSET


_decode = msgspec.json.Decoder(_Plain).decode
_key = attrgetter("key")
_ESCAPED_NUL_OR_COLON = re.compile(rb"\\u00(00|3[aA])")


def parse_fast(line: Line) -> tuple[str | None, str | None, bytes] | None:
    """Read a plain line: its `job_id`, its `experiment_id`, and the canonical body of its run.

    None leaves it to `parse_strict`. Never raises.
    """
    raw = line.raw
    if line.cut or _ESCAPED_NUL_OR_COLON.search(raw):
        return None
    try:
        plain = _decode(raw)
    except (ValueError, RecursionError):
        return None
    tags = _sorted(plain.tags)
    if tags is None or isinstance(plain.start_time, float):
        return None
    body = encoded(RunBody(plain.experiment_id, plain.run_name, plain.start_time, tags))
    # A member that stands twice in its object has been read once: its colon is missing where all is written again.
    if _colons(plain, body) != raw.count(b":"):
        return None
    job_id = None if plain.job_id is UNSET else plain.job_id
    return job_id, None if plain.experiment_id is UNSET else plain.experiment_id, body


def _colons(plain: _Plain, body: bytes) -> int:
    """Return how many colons there are where a record is written again, from those in its body."""
    colons = body.count(b":")
    if plain.job_id is not UNSET:
        colons += 1 + plain.job_id.count(":")
    if plain.tags is UNSET:
        return colons - 1
    return colons - len(plain.tags) if isinstance(plain.tags, dict) else colons


def _sorted(tags: list[Tag] | dict[str, str] | UnsetType) -> list[Tag] | None:
    """Return the tags in the order of their keys; None where there is something about a key."""
    if isinstance(tags, dict):
        made = [Tag(key, value) for key, value in sorted(tags.items())]
    else:
        made = [] if tags is UNSET else sorted(tags, key=_key)
    keys = {tag.key for tag in made}
    return None if len(keys) < len(made) or "" in keys or STAMP in keys else made
