"""Settings into parts: which endpoint, whose credentials, which batch."""

import re
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from ingestor.api.endpoint import Endpoint, aidp, mlflow
from ingestor.api.options import AuthKind, AuthOptions, TargetOptions
from ingestor.api.senders.pool import SenderPool
from ingestor.model.ports import EventSink, Target
from ingestor.pipeline.pacer import Pacer
from ingestor.pipeline.pipeline import PipelineOptions
from ingestor.pipeline.service import Service
from ingestor.policy.identity import Scope
from ingestor.policy.lookup import settling_time_after_a_crash
from ingestor.policy.retry import RetryBudget
from ingestor.report.summary import Files
from ingestor.settings.options import Settings
from ingestor.sources.reserved_paths import ReservedPaths


def endpoint_of(settings: Settings) -> Endpoint:
    """Return where attempts go. Raises UsageError."""
    if settings.tracking_uri is not None:
        return mlflow(settings.tracking_uri)
    return aidp(
        platform_id=settings.platform_id or "",
        workspace=settings.workspace or "",
        region=settings.region,
        endpoint=settings.endpoint,
    )


class OpenTarget(Target, AbstractAsyncContextManager[object], Protocol):
    """A service that is there inside its context."""


def target_of(settings: Settings, endpoint: Endpoint, *, senders: int) -> OpenTarget:
    """Return the service that attempts go to, not yet opened. Raises UsageError.

    Where there are no senders, this process makes the attempts itself.
    """
    auth = AuthOptions(
        kind=AuthKind(settings.auth),
        oci_config=settings.oci_config,
        oci_profile=settings.oci_profile,
        passphrase=settings.oci_passphrase,
        bearer_token=settings.bearer_token,
        bearer_token_file=settings.bearer_token_file,
    )
    options = TargetOptions(
        endpoint=endpoint,
        auth=auth,
        connections=settings.concurrency,
        timeout=settings.timeout,
        user_principal=settings.dh_user_principal,
    )
    if senders:
        return SenderPool(options, senders)
    from ingestor.api.client import make_target  # noqa: PLC0415 - only who sends itself waits for an HTTP client

    return make_target(options)


def scope_of(settings: Settings) -> Scope:
    """Return what keys are unique in: the workspace, or the tracking server, and the batch."""
    if settings.tracking_uri is not None:
        return Scope(_one_name(settings.tracking_uri), "", settings.batch)
    return Scope(settings.platform_id or "", settings.workspace or "", settings.batch)


def service_of(settings: Settings, target: Target, sink: EventSink) -> Service:
    """Return the service with what paces attempts at it and what they may cost."""
    return Service(
        target=target,
        pacer=Pacer(settings.rate, sink),
        budget=budget_of(settings),
        idempotent=settings.retry_tokens,
        settling=settling_time_after_a_crash(settings.timeout),
    )


def _one_name(address: str) -> str:
    """Call this machine by one name: a server that is reached by another is still the same."""
    return re.sub(r"^(https?://)(localhost|\[::1\])(?=[:/]|$)", r"\g<1>127.0.0.1", address)


def budget_of(settings: Settings) -> RetryBudget:
    """Return what one job may cost."""
    return RetryBudget(
        max_attempts=settings.max_attempts,
        max_seconds=settings.max_retry_time,
        longest_wait=settings.max_pause,
    )


def pipeline_options_of(settings: Settings) -> PipelineOptions:
    """Return how the batch is worked."""
    return PipelineOptions(
        concurrency=settings.concurrency,
        stamped=settings.stamp,
        drain_timeout=settings.drain_timeout,
        give_up_after=settings.give_up_after,
        follow=settings.follow,
    )


def files_of(settings: Settings) -> Files:
    """Return where the account of the batch lies."""
    log = None if str(settings.log) == "-" else str(settings.log)
    return Files(log=log, rejects=str(settings.rejects), journal=str(settings.state / "journal.db"))


def reserved_paths_of(settings: Settings) -> ReservedPaths:
    """Return what the program writes itself, so that it is not read as records."""
    return ReservedPaths(log=files_of(settings).log or "", rejects=str(settings.rejects), state=str(settings.state))
