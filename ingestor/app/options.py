"""How a batch is done, as plain values: the one place of all defaults.

The command line's settings take their defaults from here; the library takes these options themselves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from types import MappingProxyType

from ingestor.app.machine import cores
from ingestor.app.values import batch_name
from ingestor.model.errors import UsageError

STDOUT = Path("-")
"""The log that goes to standard output."""


def one_for_each_core() -> int:
    """Return how many sender processes keep all cores busy; none where this process has the only one."""
    return cores() if cores() > 1 else 0


def default_senders() -> int:
    """Return how many sender processes there are where nobody says."""
    return min(1, one_for_each_core())


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How a batch is done. Times are seconds. Raises UsageError for a value out of range.

    Attributes:
        batch: the name of the set in which a record becomes one run only.
        state: the state directory, where the journal lives.
        log: the structured log; None is `log.jsonl` in the state directory, `-` is standard output.
        rejects: the file of rejected records; None is `rejects.jsonl` in the state directory.
        stamp: whether every run gets the tag `ingestor.token`, by which it can be found.
        retry_tokens: whether the service honours retry tokens; None: what its kind does.
        allow_network_state: whether the state directory may be on a network file system.
        rate: the most requests a second; None is no ceiling.
        concurrency: the most requests in flight, 1 to 10,000.
        senders: the processes that sign and send, 0 to 256; 0: this process does.
        timeout: how long one request may take.
        max_attempts: the requests that one record may cost; a 429 does not count.
        max_retry_time: how long after its first request a record is tried again.
        max_pause: the longest wait that the service may ask for.
        give_up_after: how long a service that went down is waited for.
        wait_for_service: whether a service that never answered is waited for as well.
        time_budget: how long the batch may take; None is no limit.
        drain_timeout: how long requests in flight may take to end after a stop.
    """

    batch: str = "default"
    state: Path = Path(".ingestor")
    log: Path | None = None
    rejects: Path | None = None
    stamp: bool = True
    retry_tokens: bool | None = None
    allow_network_state: bool = False
    rate: float | None = None
    concurrency: int = 64
    senders: int = field(default_factory=default_senders)
    timeout: float = 60.0
    max_attempts: int = 8
    max_retry_time: float = 600.0
    max_pause: float = 300.0
    give_up_after: float = 3600.0
    wait_for_service: bool = False
    time_budget: float | None = None
    drain_timeout: float = 25.0

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            try:
                if value is not None:
                    check(value)
            except ValueError as error:
                raise UsageError(f"{name}: {error}") from None

    @property
    def journal_path(self) -> Path:
        """Where the journal is."""
        return self.state / "journal.db"

    @property
    def log_path(self) -> Path:
        """Where the log is; STDOUT is standard output."""
        return self.state / "log.jsonl" if self.log is None else self.log

    @property
    def rejects_path(self) -> Path:
        """Where rejected records are."""
        return self.state / "rejects.jsonl" if self.rejects is None else self.rejects


def _positive(value: float) -> None:
    if not isfinite(value) or value <= 0:
        raise ValueError(f"must be greater than 0, got {value}")


def _not_negative(value: float) -> None:
    if not isfinite(value) or value < 0:
        raise ValueError(f"must be at least 0, got {value}")


def _between(least: int, most: int) -> Callable[[int], None]:
    def check(value: int) -> None:
        if not least <= value <= most:
            raise ValueError(f"must be {least} to {most}, got {value}")

    return check


_CHECKS: Mapping[str, Callable[..., object]] = MappingProxyType(
    {
        "batch": batch_name,
        "rate": _positive,
        "concurrency": _between(1, 10_000),
        "senders": _between(0, 256),
        "timeout": _positive,
        "max_attempts": _between(1, 2**63),
        "max_retry_time": _positive,
        "max_pause": _positive,
        "give_up_after": _not_negative,
        "time_budget": _positive,
        "drain_timeout": _not_negative,
    }
)
