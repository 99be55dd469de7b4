"""How a batch is processed, as plain values: the one place of all defaults.

The command line's settings get their defaults from here; the library accepts these options.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from ingestor.app.machine import cores
from ingestor.model.errors import ExitCode, UsageError

STDOUT = Path("-")
"""The log on standard output."""


T = TypeVar("T")
U = TypeVar("U")

Concurrency = int | Literal["auto"]
"""The most requests in flight, or `auto`."""

MOST_CONCURRENCY = 10_000
"""The highest number of requests in flight."""

GIVE_UP_AFTER = 3600.0
"""Seconds that a service is waited for, where no option says it and no source is followed."""

LEAST_LOG_SIZE = 10_000
"""Bytes: the least size at which the log is renamed. A smaller one would rename it every few records."""

LONGEST_BATCH_NAME = 100
"""Characters."""


def to_path(given: object) -> Path:
    """Return a path, with `~` expanded."""
    text = fspath(given) if isinstance(given, str | PathLike) else None
    if not isinstance(text, str) or not text or "\0" in text:
        raise ValueError("must be a path")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise ValueError("must not begin with ~: there is no such home directory") from None


def batch_name(text: str) -> str:
    """Return a batch's name."""
    if not 1 <= len(text) <= LONGEST_BATCH_NAME or not text.isprintable():
        raise ValueError(f"must be 1 to {LONGEST_BATCH_NAME} printable characters")
    return text


def budget_exit(code: int) -> int:
    """Return the exit code of a batch that its time budget has stopped."""
    if code not in (ExitCode.OK, ExitCode.STOPPED):
        raise ValueError(f"must be {ExitCode.OK} or {ExitCode.STOPPED}")
    return code


def one_for_each_core() -> int:
    """Return how many sender processes use all cores; 0 if there is only one core."""
    return cores() if cores() > 1 else 0


def default_senders() -> int:
    """Return the default number of sender processes."""
    return min(1, one_for_each_core())


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """How a batch is processed. Times are seconds. Raises UsageError for a value out of range.

    Attributes:
        batch: the name of the set in which a record becomes one run only.
        state: the state directory, which contains the journal.
        log: the structured log; None is `log.jsonl` in the state directory, `-` is standard output.
        rejects: the file of rejected records; None is `rejects.jsonl` in the state directory.
        stamp: whether every run gets the tag `ingestor.token`, by which it can be found.
        retry_tokens: whether the service honours retry tokens; None: the default for its kind.
        allow_network_state: whether the state directory may be on a network file system.
        new_state: whether a state directory without a journal may be used; False protects against a volume that is
            not mounted.
        same_server: whether a tracking server with another address is the one that the batch went to before.
        log_max_bytes: the size at which the log is renamed and begun anew, at least 10,000 bytes; None is no limit.
        log_keep: how many renamed logs are kept.
        rate: the most requests a second; None is no ceiling.
        concurrency: the most requests in flight, 1 to 10,000; auto: as many as the service can use.
        senders: the processes that sign and send, 0 to 256; 0: this process signs and sends.
        timeout: how long one request may take.
        max_attempts: the requests that one record may use; a 429 does not count.
        max_retry_time: how long a record is retried, counted from its first request.
        max_pause: the longest wait that the service may ask for.
        follow: whether the sources are followed: their end is no end of the input, and a service that never answered
            is waited for.
        give_up_after: how long a service is waited for that is down, or refuses every request; None: an hour, or for
            ever if the sources are followed.
        wait_for_service: whether a service that never answered is waited for as well.
        time_budget: how long the batch may take; None is no limit.
        budget_exit: the exit code of a batch that its time budget has stopped: 75, or 0 where nothing else is wrong.
        drain_timeout: how long requests in flight may take to end after a stop.
    """

    batch: str = "default"
    state: Path = Path(".ingestor")
    log: Path | None = None
    rejects: Path | None = None
    stamp: bool = True
    retry_tokens: bool | None = None
    allow_network_state: bool = False
    new_state: bool = True
    same_server: bool = False
    log_max_bytes: int | None = None
    log_keep: int = 5
    rate: float | None = None
    concurrency: Concurrency = "auto"
    senders: int = field(default_factory=default_senders)
    timeout: float = 60.0
    max_attempts: int = 8
    max_retry_time: float = 600.0
    max_pause: float = 300.0
    follow: bool = False
    give_up_after: float | None = None
    wait_for_service: bool = False
    time_budget: float | None = None
    budget_exit: int = ExitCode.STOPPED
    drain_timeout: float = 25.0

    def __post_init__(self) -> None:
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            try:
                if value is not None or name not in _OPTIONAL:
                    check(value)
            except ValueError as error:
                raise UsageError(f"{name}: {error}") from None

    @property
    def longest_outage(self) -> float:
        """How long a service is waited for that is down, or refuses every request; infinite for ever."""
        if self.give_up_after is not None:
            return self.give_up_after
        return inf if self.follow else GIVE_UP_AFTER

    @property
    def log_path(self) -> Path:
        """Where the log is; STDOUT is standard output."""
        return self.state / "log.jsonl" if self.log is None else self.log

    @property
    def rejects_path(self) -> Path:
        """Where rejected records are."""
        return self.state / "rejects.jsonl" if self.rejects is None else self.rejects


COMMAND_LINE_ONLY = frozenset({"follow", "budget_exit"})
"""The options that a program does not give: signals and exit codes belong to a process."""


def options_of(batch: object, state: object, given: Mapping[str, Any]) -> BatchOptions:
    """Return the options that a program gives. Raises UsageError, also for an option that does not exist."""
    values: dict[str, Any] = {**given, "batch": batch, "state": checked("state", to_path, state)}
    for name in ("log", "rejects"):
        if values.get(name) is not None:
            values[name] = checked(name, to_path, values[name])
    if unknown := sorted(values.keys() - (_CHECKS.keys() - COMMAND_LINE_ONLY)):
        raise UsageError(f"{unknown[0]}: there is no such option")
    return BatchOptions(**values)


def checked(name: str, check: Callable[[T], U], value: T) -> U:
    """Return a value as its check returns it. Raises UsageError."""
    try:
        return check(value)
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from None


def _text(value: object) -> None:
    if not isinstance(value, str):
        raise ValueError(f"must be text, got {value!r}")  # noqa: TRY004 - one kind of error for all wrong values
    batch_name(value)


def _path(value: object) -> None:
    if not isinstance(value, Path):
        raise ValueError(f"must be a path, got {value!r}")  # noqa: TRY004 - as above


def _switch(value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"must be True or False, got {value!r}")  # noqa: TRY004 - as above


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a number, got {value!r}")  # noqa: TRY004 - as above
    return value


def _positive(value: object) -> None:
    if not isfinite(_number(value)) or _number(value) <= 0:
        raise ValueError(f"must be greater than 0, got {value}")


def _not_negative(value: object) -> None:
    if not isfinite(_number(value)) or _number(value) < 0:
        raise ValueError(f"must be at least 0, got {value}")


def _between(least: int, most: int) -> Callable[[object], None]:
    def check(value: object) -> None:
        if not isinstance(_number(value), int):
            raise ValueError(f"must be a whole number, got {value!r}")  # noqa: TRY004 - as above
        if not least <= _number(value) <= most:
            raise ValueError(f"must be {least} to {most}, got {value}")

    return check


def _budget_exit(value: object) -> None:
    _between(0, 255)(value)
    budget_exit(int(_number(value)))


def _concurrency(value: object) -> None:
    if value != "auto":
        _between(1, MOST_CONCURRENCY)(value)


_CHECKS: Mapping[str, Callable[[object], None]] = MappingProxyType(
    {
        "batch": _text,
        "state": _path,
        "log": _path,
        "rejects": _path,
        "stamp": _switch,
        "retry_tokens": _switch,
        "allow_network_state": _switch,
        "new_state": _switch,
        "same_server": _switch,
        "log_max_bytes": _between(LEAST_LOG_SIZE, 2**63),
        "log_keep": _between(0, 10_000),
        "rate": _positive,
        "concurrency": _concurrency,
        "senders": _between(0, 256),
        "timeout": _positive,
        "max_attempts": _between(1, 2**63),
        "max_retry_time": _positive,
        "max_pause": _positive,
        "follow": _switch,
        "give_up_after": _not_negative,
        "wait_for_service": _switch,
        "time_budget": _positive,
        "budget_exit": _budget_exit,
        "drain_timeout": _not_negative,
    }
)
_OPTIONAL = frozenset({"log", "rejects", "retry_tokens", "rate", "give_up_after", "time_budget", "log_max_bytes"})
