"""`--listen`: a session answers over HTTP from before its state directory is open until after its end is known."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ingestor.app.messages import complain
from ingestor.app.observing.monitored import MonitoredSession
from ingestor.app.observing.observer import Observer, Watched
from ingestor.app.observing.status_document import status_of
from ingestor.app.owned_state import refuse_if_in_use
from ingestor.journal.failures import find_job
from ingestor.model.errors import IngestorError, UsageError
from ingestor.model.history import STEPS
from ingestor.policy.identity import Scope
from ingestor.report.history import without_gaps
from ingestor.report.html.charts import charts
from ingestor.server.access import Access
from ingestor.server.address import TcpAddress
from ingestor.server.http import HttpServer
from ingestor.server.loop_watch import LoopWatch
from ingestor.server.measurements import Measurements
from ingestor.server.monitor import Monitor
from ingestor.server.readiness import Readiness
from ingestor.server.status import Status
from ingestor.server.thread import ServerThread
from ingestor.system.tasks import in_background

TOKEN_FILE = "INGESTOR_LISTEN_TOKEN_FILE"  # noqa: S105 - the name of a variable


def listening(
    address: TcpAddress, *, names: frozenset[str] = frozenset(), token_file: Path | None = None, quiet: bool = False
) -> Observer:
    """Return an observer that serves probes, metrics, status and page.

    `names` are further host names. Unless it is `quiet`, it prints its address. Without a token, page, status and
    look-up are refused beyond loopback. Its entry raises UsageError if the token can't be read, or the address can't be
    used.
    """

    @asynccontextmanager
    async def listen(watched: Watched) -> AsyncIterator[None]:
        access = Access.from_file(token_file, TOKEN_FILE, required=not address.is_loopback)
        session, watch = MonitoredSession(watched), LoopWatch()

        def serve(monitor: Monitor) -> HttpServer:
            return HttpServer(address, monitor.routes(), access, names=names)

        server = ServerThread(_Answers(session, watch), watch, serve)
        async with in_background(watch.pulse(session.look)), AsyncExitStack() as open_now:
            try:
                await open_now.enter_async_context(server)
            except UsageError:
                await refuse_if_in_use(watched.options.state)
                raise
            if not quiet:
                complain(f"listening on {server.url}")
            yield

    return listen


@dataclass(frozen=True, slots=True)
class _Answers:
    """A session, as the server asks it (`server.monitor.Monitored`)."""

    session: MonitoredSession
    watch: LoopWatch

    @property
    def last_readiness(self) -> Readiness:
        return self.session.last_readiness

    def status(self, since: float | None) -> Status:
        return status_of(self.session, since)

    def measurements(self) -> Measurements:
        return self.session.measurements()

    def plots(self, step: int | None) -> Callable[[], str] | None:
        """Return what draws one resolution of the history: the finest that has points, if none is wanted."""
        history = self.session.watched.history
        steps = STEPS if step is None else (step,)
        points = next((found for it in steps if (found := history.points(it))), None)
        if points is None:
            return None
        begin, values = without_gaps(points)
        return lambda: charts(points[0].step, begin, values)

    async def find_runs(self, job_id: str) -> Sequence[Mapping[str, object]]:
        """Ask the journal, in a thread of the server's loop; nothing is found in one that can't be read."""
        state = self.session.watched.options.state
        try:
            scope = await self.watch.ask_for(self.session.scope)
            found = await asyncio.to_thread(_find, state, scope, job_id)
        except IngestorError:
            return []
        return found


def _find(state: Path, scope: Scope, job_id: str) -> Sequence[Mapping[str, object]]:
    job = find_job(state, scope, job_id)
    return [] if job is None else [{"batch": scope.batch, **asdict(job)}]
