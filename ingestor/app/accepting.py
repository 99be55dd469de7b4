"""`--accept`: records that other programs send to the running batch."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ingestor.app.messages import complain
from ingestor.app.observing.observer import Watched
from ingestor.app.owned_state import refuse_if_in_use
from ingestor.model.acceptance import Receiver
from ingestor.model.errors import UsageError
from ingestor.server.accept import Acceptor
from ingestor.server.access import Access
from ingestor.server.address import Address


class Accepting:
    """Where records are accepted, and from whom. For one session.

    Args:
        address: where to listen.
        access: who may send records.
        names: what a Host header may say besides IP addresses and localhost.
        quiet: whether no message says where records are accepted.
    """

    def __init__(
        self, address: Address, access: Access, names: frozenset[str] = frozenset(), *, quiet: bool = False
    ) -> None:
        self._quiet = quiet
        self._acceptor = Acceptor()
        self._server = self._acceptor.server(address, access, names)

    @asynccontextmanager
    async def observe(self, watched: Watched) -> AsyncIterator[None]:
        """Listen while a session runs: an `Observer`. Raises UsageError, and StateInUseError."""
        watched.metrics.acceptance = self._acceptor.counts
        async with AsyncExitStack() as open_now:
            try:
                await open_now.enter_async_context(self._server)
            except UsageError:
                await refuse_if_in_use(watched.options.state)
                raise
            yield

    def begin(self, receiver: Receiver) -> None:
        """Accept records from now on, and print where unless that is not wanted."""
        self._acceptor.receiver = receiver
        if not self._quiet:
            complain(f"accepting records at {self._server.address}")
