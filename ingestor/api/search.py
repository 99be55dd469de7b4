"""Look-ups: the search for a run by its stamp, page after page (POST runs/search, as in MLflow's REST API).

Absence must be proven. An answer that is not a page, that holds runs without the stamp, or that has no end proves
nothing: the result is UNDECIDED.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel

from ingestor.api.responses import Experiment, ExperimentAnswer, ExperimentPage, RunPage, StampedRun, read_page
from ingestor.model.ports import Pace
from ingestor.model.reply import Fault, Finding, Presence, Reply
from ingestor.model.request import Operation, Request
from ingestor.model.text import one_line
from ingestor.policy.identity import STAMP

_RUNS = 10  # in a page: more runs than can have one token, and few enough for a short answer
_EXPERIMENTS = 1000
_MAX_REQUESTS = 100

Exchange = Callable[[Request], Awaitable[tuple[Reply, bytes]]]
"""Sends a request that is safe to repeat; returns the reply and the body of the answer."""

P = TypeVar("P", bound=BaseModel)


def _search(operation: Operation, members: Mapping[str, object]) -> Request:
    return Request(operation, json.dumps(members).encode(), is_repeatable=True)


_PROBE = _search(Operation.SEARCH_EXPERIMENTS, {"max_results": 1})  # harmless and cheap


async def probe(exchange: Exchange) -> Reply:
    """Search for one experiment. An answer that is no page of experiments is the fault GARBLED: it proves nothing."""
    reply, body = await exchange(_PROBE)
    if not reply.is_success:
        return reply
    try:
        read_page(ExperimentPage, body)
    except ValueError:
        message = f"the answer to a search is no page of experiments: {reply.message}".removesuffix(": ")
        return replace(reply, status=None, fault=Fault.GARBLED, message=one_line(message))
    return reply


class _UndecidedError(Exception):
    """Why the look-up is undecided."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.message)
        self.reply = reply


@dataclass(frozen=True, slots=True)
class Catalog:
    """The ids of all experiments of a service. `deleted` ones are in the trash and take no runs."""

    active: frozenset[str]
    deleted: frozenset[str]


class Existence(StrEnum):
    """Whether an experiment takes runs."""

    ACTIVE = "active"
    DELETED = "deleted"
    """It is in the trash and takes no runs."""
    MISSING = "missing"


def active_of(found: Catalog | Reply) -> frozenset[str] | None:
    """Return the experiments that take runs; None if the list can't be read."""
    return found.active if isinstance(found, Catalog) else None


class Search:
    """One look-up. `pace` is awaited before each request except the first."""

    def __init__(self, exchange: Exchange, pace: Pace) -> None:
        self._exchange = exchange
        self._pace = pace
        self._requests = 0
        self._reply = Reply()

    async def find(self, token: str, experiment_id: str | None) -> Finding:
        """Search for the run that carries a token, in one experiment or in all."""
        try:
            places = [[experiment_id]] if experiment_id is not None else await self._all_experiments()
            for experiments in places:
                if runs := await self._runs(experiments, token):
                    return Finding(Presence.FOUND, self._naming(runs))
        except _UndecidedError as error:
            return Finding(Presence.UNDECIDED, error.reply)
        return Finding(Presence.ABSENT, self._reply)

    async def experiments(self) -> Catalog | Reply:
        """List all experiments; if that is undecided, return the reply that says why."""
        try:
            pages = await self._pages_of_experiments()
        except _UndecidedError as error:
            return error.reply
        found = [experiment for page in pages for experiment in page]
        deleted = {it.experiment_id for it in found if it.lifecycle_stage == "deleted"}
        return Catalog(frozenset(it.experiment_id for it in found) - deleted, frozenset(deleted))

    async def has_experiment(self, experiment_id: str) -> Existence | Reply:
        """Ask for one experiment; if the answer says nothing about it, return the reply.

        The service answers 404 if there is none (API page), or if this principal may not use it.
        """
        query = urlencode({"experiment_id": experiment_id})
        request = Request(Operation.GET_EXPERIMENT, b"", is_repeatable=True, query=query)
        reply, body = await self._exchange(request)
        if reply.status == 404 and reply.code is not None:
            return Existence.MISSING
        if not reply.is_success:
            return reply
        try:
            answer = read_page(ExperimentAnswer, body)
        except ValueError:
            return replace(reply, message="The answer to experiments/get can't be read.")
        return Existence.DELETED if answer.experiment.lifecycle_stage == "deleted" else Existence.ACTIVE

    async def _all_experiments(self) -> list[list[str]]:
        """Return the ids of all experiments, a list for each page."""
        pages = [[it.experiment_id for it in page] for page in await self._pages_of_experiments() if page]
        if not pages:
            raise self._undecided("The record names no experiment, and the service lists none to search.")
        return pages

    async def _pages_of_experiments(self) -> list[list[Experiment]]:
        members: dict[str, object] = {"max_results": _EXPERIMENTS, "view_type": "ALL"}
        pages: list[list[Experiment]] = []
        while True:
            page = await self._request(Operation.SEARCH_EXPERIMENTS, members, ExperimentPage)
            pages.append(page.experiments)
            if not page.next_page_token:
                return pages
            members["page_token"] = page.next_page_token

    async def _runs(self, experiments: Sequence[str], token: str) -> list[StampedRun]:
        """Return the runs that carry the token, from the first page that has any."""
        members: dict[str, object] = {
            "experiment_ids": experiments,
            "filter": f"tags.`{STAMP}` = '{token}'",
            "run_view_type": "ALL",
            "max_results": _RUNS,
        }
        while True:
            page = await self._request(Operation.SEARCH_RUNS, members, RunPage)
            if not all(run.carries(STAMP, token) for run in page.runs):
                raise self._undecided("The search returned runs without the requested tag.")
            if page.runs or not page.next_page_token:
                return page.runs
            members["page_token"] = page.next_page_token

    async def _request(self, operation: Operation, members: Mapping[str, object], kind: type[P]) -> P:
        if self._requests == _MAX_REQUESTS:
            raise self._undecided(f"The search did not end within {_MAX_REQUESTS} pages.")
        if self._requests:
            await self._pace()
        self._requests += 1
        self._reply, body = await self._exchange(_search(operation, members))
        while self._reply.fault is Fault.HELD:
            await self._pace()
            self._reply, body = await self._exchange(_search(operation, members))
        if not self._reply.is_success:
            raise _UndecidedError(self._reply)
        try:
            return read_page(kind, body)
        except ValueError:
            raise self._undecided("The answer to the search can't be read.") from None

    def _undecided(self, reason: str) -> _UndecidedError:
        return _UndecidedError(replace(self._reply, message=reason))

    def _naming(self, runs: Sequence[StampedRun]) -> Reply:
        """Return the last reply with the first run, and the other runs in its message."""
        first, *others = (run.info.run_id or run.info.run_uuid for run in runs)
        if first is None:
            raise self._undecided("The search found the run, but its answer does not name it.")
        message = f"Other runs carry its token too: {', '.join(map(str, others))}" if others else ""
        return replace(self._reply, run_id=first, experiment_id=runs[0].info.experiment_id, message=message)
