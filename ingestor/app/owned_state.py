"""The state directory of a session, while the session owns it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

from ingestor.app.options import BatchOptions
from ingestor.app.scope import require_state
from ingestor.journal.lock import StateDirectory, holder_of
from ingestor.model.errors import StateInUseError


@asynccontextmanager
async def owned_state(options: BatchOptions) -> AsyncIterator[StateDirectory]:
    """Own the state directory. A stuck one blocks no event loop, and may be cancelled. Raises IngestorError."""
    require_state(options)
    open_state = partial(StateDirectory.open, options.state, allow_network_fs=options.allow_network_state)
    opening = asyncio.create_task(asyncio.to_thread(open_state))
    try:
        state = await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close_if_open)
        raise
    with state:
        yield state


async def refuse_if_in_use(state: Path) -> None:
    """Raise StateInUseError if another execution uses a state directory: then an address that is in use is its own.

    So schedules that overlap end with the exit code for that, and not with the one for a wrong setting.
    """
    holder = None
    with suppress(OSError):
        holder = await asyncio.to_thread(holder_of, state)
    if holder is not None:
        raise StateInUseError(f"The state directory {state} is in use by {holder.words}. Wait for it to end.")


def _close_if_open(opening: asyncio.Task[StateDirectory]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
