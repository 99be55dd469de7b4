"""Bodies of the searches for runs and experiments."""

import re
from dataclasses import dataclass
from enum import StrEnum

from ingestor.simulator.bodies import Document, int64, parse_object, text
from ingestor.simulator.wire import invalid_parameter

MAX_RESULTS = 50_000
"""The largest page of a search (MLflow's own limit)."""

_SEARCH_FIELDS = frozenset({"experiment_ids", "filter", "max_results", "order_by", "page_token", "run_view_type"})
_LIST_FIELDS = frozenset({"filter", "max_results", "order_by", "page_token", "view_type"})
_TAG_FILTER = re.compile(r"""\s*tags?\.(?:`([^`]+)`|"([^"]+)"|([\w.-]+))\s*=\s*(?:'([^']*)'|"([^"]*)")\s*""")


class View(StrEnum):
    """Which lifecycle stages a search returns."""

    ACTIVE = "ACTIVE_ONLY"
    DELETED = "DELETED_ONLY"
    ALL = "ALL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """A search for runs, oldest first; a requested order is ignored.

    `start` is the position where the page begins, `tag` the (key, value) to match, `limit` the size of a page.
    """

    experiments: frozenset[str]
    tag: tuple[str, str] | None
    start: int
    limit: int
    view: View = View.ACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A search for experiments: the position where the page begins, the size of a page, and the view."""

    start: int
    limit: int
    view: View


def parse_search(body: bytes) -> Search:
    """Read the body of runs/search. Raises ApiError (400)."""
    document = parse_object(body, _SEARCH_FIELDS)
    ids = document.get("experiment_ids", [])
    if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
        raise invalid_parameter("experiment_ids must be an array of strings.")
    return Search(
        experiments=frozenset(ids),
        tag=_tag_filter(text(document, "filter") or ""),
        start=_start(document),
        limit=_max_results(document),
        view=_view(document, "run_view_type"),
    )


def parse_list(body: bytes) -> Listing:
    """Read the body of experiments/search. Raises ApiError (400), also for a filter: none is supported."""
    document = parse_object(body, _LIST_FIELDS)
    if document.get("filter"):
        raise invalid_parameter("filter is not supported for experiments.")
    return Listing(start=_start(document), limit=_max_results(document), view=_view(document, "view_type"))


def _start(document: Document) -> int:
    token = text(document, "page_token") or "0"
    if not (token.isascii() and token.isdigit()):
        raise invalid_parameter("page_token is not one that this service gave out.")
    return int(token)


def _view(document: Document, name: str) -> View:
    try:
        return View(text(document, name) or View.ACTIVE)
    except ValueError:
        raise invalid_parameter(f"{name} must be {', '.join(View)}.") from None


def _max_results(document: Document) -> int:
    limit = int64(document, "max_results")
    if limit is None:
        return 1000
    if not 1 <= limit <= MAX_RESULTS:
        raise invalid_parameter(f"max_results must lie between 1 and {MAX_RESULTS}.")
    return limit


def _tag_filter(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    match = _TAG_FILTER.fullmatch(text)
    if match is None:
        raise invalid_parameter("filter must have the form tags.`key` = 'value'.")
    ticked, quoted, bare, single, double = match.groups()
    return ticked or quoted or bare, single if single is not None else double
