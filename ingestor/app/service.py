"""The service that a session sends to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Protocol

from ingestor.api.senders import SenderPool
from ingestor.app.options import BatchOptions
from ingestor.app.target import Target
from ingestor.journal.reader import is_rehearsal
from ingestor.model.errors import UsageError
from ingestor.model.ports import Service


class OpenService(Service, AbstractAsyncContextManager[object], Protocol):
    """A service that can be used inside its context."""


def open_service(target: Target, options: BatchOptions, *, connections: int, senders: int) -> OpenService:
    """Return the service, not opened yet. Without senders, this process sends. Raises UsageError."""
    connection = target.connection(connections=connections, timeout=options.timeout, rate=options.rate)
    if senders:
        return SenderPool(connection, senders)
    from ingestor.api.service import HttpService  # noqa: PLC0415 - only a process that sends needs an HTTP client

    return HttpService(connection)


@asynccontextmanager
async def opened_unless(stopping: asyncio.Event, service: OpenService) -> AsyncIterator[bool]:
    """Open the service for the block; False if a stop came first. Raises IngestorError."""
    async with AsyncExitStack() as opened:
        opening = asyncio.create_task(opened.enter_async_context(service))
        stop = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({opening, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            opening.cancel()
            await asyncio.wait({opening})
        if not opening.cancelled():
            opening.result()
        yield not opening.cancelled()


def refuse_a_mixed_batch(target: Target, options: BatchOptions) -> None:
    """Raise UsageError if a batch of AIDP that went to this machine would continue elsewhere, or the reverse.

    Its records would count as done, and the real service would never get them. A tracking server is identified by its
    address (see `app.scope`).
    """
    if target.is_server:
        return
    batch, state, endpoint = options.batch, options.state, target.endpoint
    before, now = is_rehearsal(state, target.scope(batch)), endpoint.is_on_this_machine
    if before is None or before == now:
        return
    places = ("another machine", "this machine")
    raise UsageError(
        f"The runs of batch {batch} in {state} were created on {places[before]}, and {endpoint.display} is on "
        f"{places[now]}: its records would count as done. Give this one a batch or a state directory of its own."
    )
