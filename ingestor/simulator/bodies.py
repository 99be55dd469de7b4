"""Request bodies, checked as strictly as the API page describes them."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ingestor.model.record import RunDetails
from ingestor.simulator.exchange import invalid_parameter, unreadable

MOST_RESULTS = 50_000
"""The largest page of a search (MLflow's own limit)."""

_CREATE_FIELDS = frozenset({"experiment_id", "run_name", "start_time", "tags"})
_SEARCH_FIELDS = frozenset({"experiment_ids", "filter", "max_results", "order_by", "page_token", "run_view_type"})
_LIST_FIELDS = frozenset({"filter", "max_results", "order_by", "page_token", "view_type"})
_VIEWS = frozenset({"ACTIVE_ONLY", "DELETED_ONLY", "ALL"})
_TAG_FIELDS = frozenset({"key", "value"})
_INT64 = range(-(2**63), 2**63)
_TAG_FILTER = re.compile(r"""\s*tags?\.(?:`([^`]+)`|"([^"]+)"|([\w.-]+))\s*=\s*(?:'([^']*)'|"([^"]*)")\s*""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A question for runs. `start` is the position to go on from; `tag` the (key, value) to match.

    `deleted_only` asks for none: nothing here is ever deleted. In which order is not heeded: oldest first.
    """

    experiments: frozenset[str]
    tag: tuple[str, str] | None
    start: int
    most: int
    deleted_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A question for experiments: the position to go on from, how many at most, and whether only deleted ones."""

    start: int
    most: int
    deleted_only: bool


def parse_create(body: bytes) -> RunDetails:
    """Read the body of runs/create (schema CreateExperimentRunDetails). Raises ApiError (400)."""
    document = _parse_object(body, _CREATE_FIELDS)
    return RunDetails(
        experiment_id=_text(document, "experiment_id"),
        run_name=_text(document, "run_name"),
        start_time=_int64(document, "start_time"),
        tags=_tags(document.get("tags", [])),
    )


def parse_search(body: bytes) -> Search:
    """Read the body of runs/search. Raises ApiError (400)."""
    document = _parse_object(body, _SEARCH_FIELDS)
    ids = document.get("experiment_ids", [])
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise invalid_parameter("experiment_ids must be an array of strings.")
    return Search(
        experiments=frozenset(ids),
        tag=_tag_filter(_text(document, "filter") or ""),
        start=_start(document),
        most=_max_results(document),
        deleted_only=_view(document, "run_view_type") == "DELETED_ONLY",
    )


def parse_list(body: bytes) -> Listing:
    """Read the body of experiments/search. Raises ApiError (400), also for a filter: none is understood."""
    document = _parse_object(body, _LIST_FIELDS)
    if document.get("filter"):
        raise invalid_parameter("filter is not understood for experiments.")
    return Listing(
        start=_start(document),
        most=_max_results(document),
        deleted_only=_view(document, "view_type") == "DELETED_ONLY",
    )


def _parse_object(body: bytes, fields: frozenset[str]) -> dict[str, object]:
    try:
        document: object = json.loads(body.decode())
    except (ValueError, RecursionError):
        raise unreadable("The request body is not well-formed JSON.") from None
    if not isinstance(document, dict):
        raise unreadable("The request body is not a JSON object.")
    if not document.keys() <= fields:
        raise unreadable(f"Unrecognized field: {min(document.keys() - fields)}")
    return document


def _text(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name, "")
    if not isinstance(value, str):
        raise invalid_parameter(f"{name} must be a string.")
    return value if name in document else None


def _int64(document: Mapping[str, object], name: str) -> int | None:
    value = document.get(name, 0)
    if type(value) is not int or value not in _INT64:
        raise invalid_parameter(f"{name} must be an int64.")
    return value if name in document else None


def _start(document: Mapping[str, object]) -> int:
    token = _text(document, "page_token") or "0"
    if not (token.isascii() and token.isdigit()):
        raise invalid_parameter("page_token is not one that this service gave out.")
    return int(token)


def _view(document: Mapping[str, object], name: str) -> str:
    view = _text(document, name) or "ACTIVE_ONLY"
    if view not in _VIEWS:
        raise invalid_parameter(f"{name} must be ACTIVE_ONLY, DELETED_ONLY or ALL.")
    return view


def _max_results(document: Mapping[str, object]) -> int:
    most = _int64(document, "max_results")
    if most is None:
        return 1000
    if not 1 <= most <= MOST_RESULTS:
        raise invalid_parameter(f"max_results must lie between 1 and {MOST_RESULTS}.")
    return most


def _tags(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, list):
        raise invalid_parameter("tags must be an array.")
    pairs = tuple(_tag(one) for one in value)
    if len({key for key, _ in pairs}) < len(pairs):
        raise invalid_parameter("tags must have distinct keys.")
    return pairs


def _tag(value: object) -> tuple[str, str]:
    if not isinstance(value, dict):
        raise invalid_parameter("Each of tags must be an object.")
    if not value.keys() <= _TAG_FIELDS:
        raise unreadable(f"Unrecognized field in tags: {min(value.keys() - _TAG_FIELDS)}")
    key, text = value.get("key"), value.get("value")
    if not isinstance(key, str) or not isinstance(text, str):
        raise invalid_parameter("Each of tags must have a key and a value, both strings.")
    return key, text


def _tag_filter(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    match = _TAG_FILTER.fullmatch(text)
    if match is None:
        raise invalid_parameter("filter must have the form tags.`key` = 'value'.")
    ticked, quoted, bare, single, double = match.groups()
    return ticked or quoted or bare, single if single is not None else double
