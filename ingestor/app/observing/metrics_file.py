"""`--metrics-file`: measurements for a textfile collector. The file is replaced as a whole, so that none is read half.

It is written each minute and at the end, whatever the end is. What this execution does not know, the last exit code and
the last success, is kept from the earlier file.
"""

import asyncio
import os
import platform
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ingestor import __version__
from ingestor.app.messages import complain
from ingestor.app.observing.monitored import MonitoredSession
from ingestor.app.observing.observer import Watched
from ingestor.app.options import BatchOptions
from ingestor.app.outputs import refuse_another_use
from ingestor.model.activity import Phase
from ingestor.model.errors import ExitCode, IngestorError, StateInUseError, UsageError
from ingestor.model.text import WHOLE, printable
from ingestor.server.measurements import Measurements
from ingestor.server.prometheus import BEGINNING, as_text
from ingestor.system.tasks import in_background

EVERY = 60
"""Seconds between two writes."""

_MODE = 0o644  # the collector is another user
_LARGEST = 1_000_000  # bytes of an earlier file
_KEPT = re.compile(r"^ingestor_last_(\w+)\{batch=\"(.*)\"\} (\S+)$", re.MULTILINE)

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What an earlier file knows of the batch; None: nothing."""

    exit_code: int | None = None
    last_success: float | None = None
    last_created: float | None = None


class MetricsFile:
    """One file, of one batch. Raises UsageError if it can't be written, or if it is a file with another use."""

    def __init__(self, path: Path, options: BatchOptions, sleep: Sleep = asyncio.sleep) -> None:
        refuse_another_use("--metrics-file", path, options)
        self.path = path
        self._batch = options.batch
        self._sleep = sleep
        self._started = time.time()
        self._last: Measurements | None = None
        self._has_failed = False
        self._kept = _kept(earlier_metrics(path), options.batch)
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise UsageError(f"--metrics-file: files can't be made in {printable(str(path.parent), WHOLE)}")

    @asynccontextmanager
    async def observe(self, watched: Watched) -> AsyncIterator[None]:
        """Write the file while the session runs, and once its end is known."""
        session = MonitoredSession(watched)
        async with in_background(self._write_regularly(session)):
            yield
        session.look()
        await session.look_up()
        self._last = session.measurements()

    def conclude(self, work: Callable[[], int]) -> int:
        """Return the exit code that `work` returns, and write the file with it. Raises what `work` raises."""
        try:
            code = work()
        except StateInUseError:  # the file is that of the execution which uses the state directory
            raise
        except IngestorError as error:
            self._finish(error.exit_code)
            raise
        except KeyboardInterrupt:
            self._finish(ExitCode.STOPPED)
            raise
        except Exception:
            self._finish(ExitCode.HALTED)
            raise
        self._finish(code)
        return code

    async def _write_regularly(self, session: MonitoredSession) -> None:
        passed = 0
        while True:
            session.look()
            if session.watched.journal is not None and passed % EVERY == 0:
                await session.look_up()
                await asyncio.to_thread(self._write, session.measurements())
                passed = 0
            passed += session.watched.journal is not None
            await self._sleep(1.0)

    def _finish(self, code: int) -> None:
        known = self._last or Measurements(
            batch=self._batch,
            version=__version__,
            python=platform.python_version(),
            started=self._started,
            phase=Phase.FINISHED,
        )
        success = time.time() if code == ExitCode.OK else known.last_success
        self._write(replace(known, last_success=success, phase=Phase.FINISHED), code)

    def _write(self, measured: Measurements, exit_code: int | None = None) -> None:
        kept = self._kept
        codes = (exit_code, kept.exit_code, measured.exit_code)
        measured = replace(
            measured,
            exit_code=next((code for code in codes if code is not None), None),
            last_success=_latest(measured.last_success, kept.last_success),
            last_created=_latest(measured.last_created, kept.last_created),
        )
        try:
            _replace(self.path, as_text(measured, process=False))
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                complain(f"the metrics file {printable(str(self.path), WHOLE)} can't be written: {error.strerror}")


def _latest(*times: float | None) -> float | None:
    return max((time for time in times if time is not None), default=None)


def earlier_metrics(path: Path) -> str:
    """Return the text of the earlier file; "" if there is none. Raises UsageError if it is not a metrics file."""
    if path.exists() and not path.is_file():  # a device would be replaced by a file; a pipe would be waited for
        raise UsageError(f"--metrics-file: {printable(str(path), WHOLE)} is no regular file. Name a new file")
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise UsageError(f"--metrics-file: {printable(str(path), WHOLE)} can't be read: {error.strerror}") from None
    if text and not text.startswith(BEGINNING):
        raise UsageError(
            f"--metrics-file: {printable(str(path), WHOLE)} is another file: it would be overwritten. Name a new file"
        )
    return text


def _kept(text: str, batch: str) -> Kept:
    values: dict[str, float] = {}
    for name, label, number in _KEPT.findall(text):
        with suppress(ValueError):
            if label == batch.replace("\\", r"\\").replace('"', r"\""):
                values[name] = float(number)
    code, success, created = (
        values.get(name) for name in ("exit_code", "success_timestamp_seconds", "created_timestamp_seconds")
    )
    is_known = code is not None and code == code  # noqa: PLR0124 - NaN is not equal to itself
    return Kept(
        exit_code=int(code or 0) if is_known else None, last_success=success or None, last_created=created or None
    )


def _replace(path: Path, text: bytes) -> None:
    """Write a new file, and give it the name. No collector reads a file that begins with a dot. Raises OSError."""
    new = path.with_name(f".{path.name}.tmp")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, _MODE)  # whatever the umask took from it
        file.write(text)
    new.replace(path)
