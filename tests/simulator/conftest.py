import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from ingestor.simulator.server import Simulator

ADDRESS = f"/20260430/aiDataPlatforms/{PLATFORM_ID}/workspaces/{WORKSPACE_KEY}/mlops/api/2.0/mlflow"


class ManualClock:
    """A wall clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.seconds += seconds


@dataclass
class Response:
    status: int
    headers: CIMultiDictProxy[str]
    text: str

    @property
    def json(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.text)
        return document

    @property
    def run_id(self) -> str:
        return str(self.json["run"]["info"]["run_id"])


class Caller:
    """A plain HTTP client of the simulator: responses are as they came over the wire."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def call(
        self,
        simulator: Simulator,
        operation: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        method: str = "POST",
    ) -> Response:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        url = f"{simulator.url}{ADDRESS}/{operation}"
        sent = {"content-type": "application/json", **(headers or {})}
        async with self._session.request(method, url, data=BytesIO(data), headers=sent) as response:
            return Response(response.status, response.headers, await response.text())

    async def create(
        self, simulator: Simulator, body: object = None, token: str | None = None, **headers: str
    ) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["opc-retry-token"] = token
        document = {"experiment_id": "1"} if body is None else body
        return await self.call(simulator, "runs/create", document, sent)

    async def get(self, simulator: Simulator, path: str) -> Response:
        async with self._session.get(f"{simulator.url}{path}") as response:
            return Response(response.status, response.headers, await response.text())


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession(max_field_size=16_384, max_headers=500) as session:
        yield Caller(session)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until the condition is true."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - the simulator has no event for it, as the real service has none
            await asyncio.sleep(0)
