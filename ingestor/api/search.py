"""Looking for runs by their stamp, page after page (POST runs/search, as in MLflow's REST API).

Absence must be proven: what is no page, shows runs that nobody asked for, or has no end decides nothing.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pydantic import BaseModel
from yarl import URL

from ingestor.api.endpoint import Endpoint
from ingestor.api.schema import ExperimentPage, RunPage, StampedRun, read_page
from ingestor.model.finding import Finding, Presence
from ingestor.model.ports import Pace
from ingestor.model.reply import Reply
from ingestor.policy.identity import STAMP

PROBE = b'{"max_results":1}'
"""The body of a question to experiments/search that is harmless and cheap."""

_RUNS = 10  # in a page: more than ever carry one token, and small enough to come whole
_EXPERIMENTS = 1000
_MOST_REQUESTS = 100

P = TypeVar("P", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Question:
    """A request that changes nothing."""

    url: URL
    body: bytes


Ask = Callable[[Question], Awaitable[tuple[Reply, bytes]]]
"""Sends a question; returns what came of it and the body of the answer."""


class _UndecidedError(Exception):
    """Why nothing can be said."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.message)
        self.reply = reply


class Search:
    """One look-up. `pace` is awaited before each request but the first."""

    def __init__(self, endpoint: Endpoint, ask: Ask, pace: Pace) -> None:
        self._endpoint = endpoint
        self._ask = ask
        self._pace = pace
        self._requests = 0
        self._reply = Reply()

    async def find(self, token: str, experiment_id: str | None) -> Finding:
        """Look for the run that carries a token, in one experiment or in all there are."""
        try:
            places = [[experiment_id]] if experiment_id is not None else await self._all_experiments()
            for experiments in places:
                if runs := await self._runs(experiments, token):
                    return Finding(Presence.FOUND, self._naming(runs))
        except _UndecidedError as error:
            return Finding(Presence.UNDECIDED, error.reply)
        return Finding(Presence.ABSENT, self._reply)

    async def _all_experiments(self) -> list[list[str]]:
        """Return the ids of all experiments, as they came in pages."""
        question: dict[str, object] = {"max_results": _EXPERIMENTS, "view_type": "ALL"}
        pages: list[list[str]] = []
        while True:
            page = await self._request(self._endpoint.search_experiments_url, question, ExperimentPage)
            pages += [[experiment.experiment_id for experiment in page.experiments]] if page.experiments else []
            if not page.next_page_token:
                break
            question["page_token"] = page.next_page_token
        if not pages:
            raise self._undecided("The record names no experiment, and the service tells of none to search.")
        return pages

    async def _runs(self, experiments: Sequence[str], token: str) -> list[StampedRun]:
        """Return the runs that carry the token, as far as the first page that has any."""
        question: dict[str, object] = {
            "experiment_ids": experiments,
            "filter": f"tags.`{STAMP}` = '{token}'",
            "run_view_type": "ALL",
            "max_results": _RUNS,
        }
        while True:
            page = await self._request(self._endpoint.search_runs_url, question, RunPage)
            if not all(run.carries(STAMP, token) for run in page.runs):
                raise self._undecided("The search answered with runs that do not show the tag it was asked for.")
            if page.runs or not page.next_page_token:
                return page.runs
            question["page_token"] = page.next_page_token

    async def _request(self, url: URL, question: Mapping[str, object], kind: type[P]) -> P:
        if self._requests == _MOST_REQUESTS:
            raise self._undecided(f"The search was not at its end after {_MOST_REQUESTS} pages.")
        if self._requests:
            await self._pace()
        self._requests += 1
        self._reply, body = await self._ask(Question(url, json.dumps(question).encode()))
        if self._reply.status is None or self._reply.status // 100 != 2:
            raise _UndecidedError(self._reply)
        try:
            return read_page(kind, body)
        except ValueError:
            raise self._undecided("The answer to the search is not one that can be read.") from None

    def _undecided(self, reason: str) -> _UndecidedError:
        return _UndecidedError(replace(self._reply, message=reason))

    def _naming(self, runs: Sequence[StampedRun]) -> Reply:
        """Return the last answer as one that names the first run, and the others in its message."""
        first, *others = (run.info.run_id or run.info.run_uuid for run in runs)
        if first is None:
            raise self._undecided("The search found the run, and its answer does not name it.")
        message = f"Other runs carry its token too: {', '.join(map(str, others))}" if others else ""
        return replace(self._reply, run_id=first, experiment_id=runs[0].info.experiment_id, message=message)
