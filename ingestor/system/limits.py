"""Limits of the system that a process can meet anywhere: each has one sentence that names it."""

import errno
import resource
import threading
from collections.abc import Callable

from ingestor.model.errors import IngestorError

_THREADS = (
    "No further thread or process can be started: the limit of this user (ulimit -u) or of this container (pids limit) "
    "is reached, or memory is short (ulimit -v). Raise it and run the same command again."
)
_FILES = "No further file can be opened: the limit of open files (ulimit -n, now {limit:,}) is reached."
_ALL_FILES = "No further file can be opened: this machine has reached its limit of open files."
_MEMORY = "There is not enough memory{limit}. Give this process more."


class LimitError(IngestorError):
    """A limit of the system is reached."""


def forbid_core_dumps() -> None:
    """Make this process and its children write no core dump, which would contain credentials."""
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def start_thread(work: Callable[[], object], name: str) -> threading.Thread:
    """Start a thread that does not keep the process alive. Raises LimitError."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    try:
        thread.start()
    except (RuntimeError, MemoryError) as error:
        raise LimitError(_THREADS) from error
    return thread


def limit_of(error: BaseException) -> LimitError | None:
    """Return the limit that caused an error; None if none did."""
    for cause in _causes(error):
        if (text := _sentence(cause)) is not None:
            return LimitError(text)
    return None


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and what it came from, and the errors of a group."""
    causes: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        cause = waiting.pop()
        if cause is None or cause in causes:
            continue
        causes.append(cause)
        waiting += [cause.__context__, cause.__cause__]
        waiting += cause.exceptions if isinstance(cause, BaseExceptionGroup) else []
    return causes


def _sentence(error: BaseException) -> str | None:
    match error:
        case RuntimeError() if "can't start new thread" in str(error):
            return _THREADS
        case MemoryError():
            return _MEMORY.format(limit=_memory_limit())
        case ImportError() if "failed to map" in str(error) or "Cannot allocate memory" in str(error):
            return _MEMORY.format(limit=_memory_limit())
        case OSError():
            return _of_system(error.errno)
        case _:
            return None


def _of_system(number: int | None) -> str | None:
    match number:
        case errno.EMFILE:
            return _FILES.format(limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        case errno.ENFILE:
            return _ALL_FILES
        case errno.ENOMEM:
            return _MEMORY.format(limit=_memory_limit())
        case errno.EAGAIN:  # of fork
            return _THREADS
        case _:
            return None


def _memory_limit() -> str:
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f" (ulimit -v, now {limit // 1024:,} KiB)"
