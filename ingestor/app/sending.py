"""How a batch sends: its service, its pacer and the options of its pipeline, from the target and the options."""

from ingestor.app.limits import in_flight_bounds
from ingestor.app.options import BatchOptions
from ingestor.app.service import OpenService, open_service
from ingestor.app.target import Target
from ingestor.model.ports import EventSink
from ingestor.pipeline.options import PipelineOptions
from ingestor.pipeline.pacer import Pacer
from ingestor.policy.lookup import crash_quiescence
from ingestor.policy.retry import RetryBudget

MOST_JOBS = 4096
"""Jobs in flight, if `concurrency` does not need more: with those that wait for an answer or for another attempt."""


class Sending:
    """Makes the parts of a batch that send. Raises LimitError if too few files may be open.

    Attributes:
        bounds: how many requests may be in flight.
    """

    def __init__(self, target: Target, options: BatchOptions) -> None:
        tokens = options.retry_tokens
        self._target = target
        self._options = options
        self._honours_tokens = target.honours_tokens if tokens is None else tokens
        self.bounds = in_flight_bounds(options, honours_tokens=self._honours_tokens)

    def open_service(self, senders: int) -> OpenService:
        """Return the service, not opened yet. Without senders, this process sends. Raises UsageError."""
        return open_service(self._target, self._options, connections=self.bounds.all, senders=senders)

    def pacer(self, sink: EventSink) -> Pacer:
        """Return a new pacer."""
        options, bounds = self._options, self.bounds
        return Pacer(
            options.rate,
            sink,
            most_in_flight=bounds.slots,
            first_in_flight=bounds.first,
            max_pause=options.max_pause,
        )

    def pipeline_options(self) -> PipelineOptions:
        """Return the options of a pipeline, or of a reconciliation."""
        options, bounds = self._options, self.bounds
        return PipelineOptions(
            concurrency=bounds.slots,
            first_concurrency=bounds.first,
            most_outside=bounds.outside,
            most_jobs=MOST_JOBS,
            timeout=options.timeout,
            stamped=options.stamp,
            drain_timeout=options.drain_timeout,
            give_up_after=options.longest_outage,
            wait_for_service=options.wait_for_service or options.follow,
            budget=RetryBudget(
                max_attempts=options.max_attempts,
                max_seconds=options.max_retry_time,
                longest_wait=options.max_pause,
            ),
            idempotent=self._honours_tokens,
            crash_quiescence=crash_quiescence(options.timeout),
            access=self._target.access,
        )
