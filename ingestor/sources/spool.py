"""Standard input, kept until its records are runs: it can't be read twice."""

import errno
import hashlib
import os
import re
import select
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from ingestor.model.errors import SpoolError
from ingestor.policy.identity import Scope
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.locate import STDIN

_Counted = Callable[[int], None]

_WHOLE = "-whole"
_NUMBER = re.compile(r"stdin-n(\d+)-")


class Spool:
    """The standard input of one batch, as files in the state directory; belongs to the directory's owner.

    A file holds all that one process read, byte for byte, and on disk before any of it counts as read. Its name
    begins with a running number, so that their order is right whatever becomes of the wall clock, and ends in `whole`
    once that process has seen the end. Names without a number are of older versions; they sort first.
    """

    def __init__(self, state: Path, scope: Scope) -> None:
        batch = f"{scope.platform}\0{scope.workspace}\0{scope.batch}"
        self._folder = state / "spool" / hashlib.sha256(batch.encode()).hexdigest()[:16]
        self._taken: list[Path] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not self._files()

    @property
    def is_cut(self) -> bool:
        """Whether something is left of a standard input whose end was not seen."""
        return any(path != _whole(path) for path in self._files())

    def leftovers(self, counted: _Counted) -> list[ByteSource]:
        """Return what earlier processes read and did not finish, oldest first, as the inputs they were."""
        files = self._files()
        self._taken += files
        return [_Left(STDIN, counted, path=str(path)) for path in files]

    def standard_input(self, counted: _Counted) -> ByteSource:
        """Return the standard input of this process, kept as it is read."""
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
        file = self._folder / f"stdin-n{self._next_number():012}-{now}-{os.getpid()}.jsonl"
        self._taken.append(file)
        return _Kept(file, counted)

    def clear(self) -> None:
        """Forget what this object gave out: every record of it is accounted for. What others keep meanwhile stays."""
        for path in self._taken:
            path.unlink(missing_ok=True)
            _whole(path).unlink(missing_ok=True)

    def _next_number(self) -> int:
        numbered = (_NUMBER.match(path.name) for path in [*self._files(), *self._taken])
        return max((int(found[1]) for found in numbered if found), default=0) + 1

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("stdin-*.jsonl"))


class _Left(ByteSource):
    """Standard input as an earlier process left it."""

    @property
    def is_torn(self) -> bool:
        with Path(self._path).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            return size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"


class _Kept(ByteSource):
    """Standard input, which goes to a file (0600) first and is read from there."""

    def __init__(self, file: Path, counted: _Counted) -> None:
        super().__init__(STDIN, counted)
        self._file = file
        self._held_bytes = 0

    def _blocks(self, size: int) -> Iterator[bytes]:
        """Yield blocks that are on disk. Raises SpoolError where they can't be kept."""
        try:
            file = _make(self._file)
            try:
                while count := _move(file, size):
                    os.fdatasync(file)
                    yield os.pread(file, count, self._held_bytes)
                    self._held_bytes += count
                    self._counted(count)
                self._file.rename(_whole(self._file))
            finally:
                os.close(file)
        except OSError as error:
            raise SpoolError(
                f"Standard input can't be kept in {self._file.parent}: {error.strerror}. Make room, or read it without "
                "keeping it (--no-spool)."
            ) from error


def _whole(path: Path) -> Path:
    """Return the name of a file once the end of what it holds was seen."""
    return path.with_name(f"{path.stem.removesuffix(_WHOLE)}{_WHOLE}{path.suffix}")


def _move(file: int, size: int) -> int:
    """Move what there is of standard input to the end of `file`; return how many bytes, 0 at its end.

    A pipe is spliced: at no moment are its bytes in this process alone, where a crash would lose them.
    """
    while True:
        try:
            return os.splice(0, file, size)
        except BlockingIOError:
            select.select([0], [], [])
        except OSError as error:
            if error.errno != errno.EINVAL:  # not a pipe: a file, a terminal or a socket
                raise
            return _copy(file, size)


def _copy(file: int, size: int) -> int:
    block = os.read(0, size)
    rest = memoryview(block)
    while rest:
        rest = rest[os.write(file, rest) :]
    return len(block)


def _make(path: Path) -> int:
    """Create the file so that it is still there after a power cut, and return its descriptor. Raises OSError."""
    for folder in reversed(path.parents[:2]):  # one by one: `parents=True` would make the upper one readable by others
        folder.mkdir(mode=0o700, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    for folder in path.parents[:3]:
        _sync(folder)
    return file


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
