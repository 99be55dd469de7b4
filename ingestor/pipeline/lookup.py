"""One look-up of a delivery's run, and what it leads to."""

from collections.abc import Callable

from ingestor.model.finding import Finding, Presence
from ingestor.pipeline.committer import Committer
from ingestor.pipeline.delivery import Delivery, end
from ingestor.pipeline.health_monitor import HealthMonitor
from ingestor.pipeline.service import Service
from ingestor.policy.lookup import LOOKUP_DELAY, Absent, decide_lookup
from ingestor.policy.retry import Retry, Settle, classify


class Lookups:
    """Makes look-ups; each ends its delivery, queues it again, or hands it to `on_absent`: it surely has no run.

    `only` says that nothing else is sent, so that an answer is all there is to show that the service is back.
    """

    def __init__(
        self,
        service: Service,
        hearing: HealthMonitor,
        committer: Committer,
        on_absent: Callable[[Delivery], None],
        *,
        only: bool,
    ) -> None:
        self._service = service
        self._hearing = hearing
        self._settlement = committer
        self._on_absent = on_absent
        self._only = only

    async def make(self, delivery: Delivery) -> None:
        """Look for the run of a stamped job that is in doubt. The first request of it has been paced already."""
        asked_at, job = self._hearing.now(), delivery.job
        delivery.history.first_at = min(delivery.history.first_at, self._hearing.uptime)
        self._hearing.begin()
        finding = await self._service.target.find(job.token, job.experiment_id, self._service.pacer.acquire)
        if await self._is_heard(delivery, finding, asked_at):
            self._follow_up(delivery, finding, asked_at)

    async def _is_heard(self, delivery: Delivery, finding: Finding, asked_at: float) -> bool:
        if finding.presence is Presence.UNDECIDED:
            return await self._hearing.goes_on(delivery, classify(finding.reply), finding.reply, asked_at)
        self._hearing.answered(finding.reply, asked_at)
        if self._only:
            self._hearing.succeeded(delivery, finding.reply)
        return True

    def _follow_up(self, delivery: Delivery, finding: Finding, asked_at: float) -> None:
        history = delivery.history
        history.quiescent_at = max(history.quiescent_at, self._hearing.up_since + LOOKUP_DELAY)
        decision = decide_lookup(
            history,
            finding,
            self._service.budget,
            asked_at=asked_at,
            now=self._hearing.now(),
            uptime=self._hearing.uptime,
            uniform=self._service.uniform,
        )
        match decision:
            case Settle(outcome):
                self._settlement.put(delivery, end(delivery, outcome, finding.reply))
            case Retry(delay):
                self._hearing.retry(delivery, finding.reply, delay, f"look-up {finding.presence}")
            case Absent():
                self._on_absent(delivery)
