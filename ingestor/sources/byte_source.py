"""ByteSource inputs as blocks of bytes: plain, gzip and Zstandard."""

import gzip
import os
import select
import sys
import zlib
from collections.abc import Callable, Iterator
from io import BufferedReader, RawIOBase
from typing import Protocol

from ingestor.sources.locate import STDIN

_BUFFER = 256 * 1024
_DESCRIPTORS = ("/dev/stdin", "/dev/fd/", "/proc/")


class DamagedSourceError(Exception):
    """An input that can't be read on: `str()` says why."""


class ByteSource:
    """One input. `counted` is told of every read: how many stored (packed) bytes it gave.

    `path` is where its bytes lie, if not under its name.
    """

    def __init__(self, name: str, counted: Callable[[int], None], path: str | None = None) -> None:
        self.name = name
        self._counted = counted
        self._path = path or name

    @property
    def size(self) -> int | None:
        """The stored size in bytes, None where there is none (standard input, a FIFO)."""
        if self._path == STDIN or not os.path.isfile(self._path):
            return None
        return os.path.getsize(self._path)

    @property
    def lasting_path(self) -> str | None:
        """The real path under which another process can read the same, None where it is no file or a descriptor.

        It follows links: one may lead to another file by then.
        """
        if self.name == STDIN or os.path.abspath(self._path).startswith(_DESCRIPTORS):
            return None
        path = os.path.realpath(self._path)
        return path if os.path.isfile(path) else None

    @property
    def is_torn(self) -> bool:
        """Whether it ends in the middle of a line whose rest another input may hold."""
        return False

    def blocks(self, size: int) -> Iterator[bytes]:
        """Yield what is there, unpacked, in blocks of at most `size` bytes; waits for a whole block never.

        Raises DamagedSourceError.
        """
        try:
            yield from self._blocks(size)
        except (EOFError, zlib.error) as error:
            raise DamagedSourceError(f"the compressed data is cut short or damaged ({error})") from error
        except OSError as error:  # gzip.BadGzipFile is one too
            raise DamagedSourceError(error.strerror or str(error)) from error
        except _zstd_error() as error:
            raise DamagedSourceError(f"the compressed data is damaged ({error})") from error

    def _blocks(self, size: int) -> Iterator[bytes]:
        descriptor = os.dup(0) if self._path == STDIN else os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        with BufferedReader(_Counting(descriptor, self._counted), _BUFFER) as packed:
            stream = _unpacked(self._path, packed)
            while block := stream.read1(size):
                yield block


class _Stream(Protocol):
    def read1(self, size: int, /) -> bytes: ...


def _unpacked(name: str, packed: "BufferedReader[_Counting]") -> _Stream:
    if name.endswith((".gz", ".zst")) and not packed.peek(1):
        raise EOFError("the file is empty")
    if name.endswith(".gz"):
        return gzip.GzipFile(fileobj=packed)
    if name.endswith(".zst"):
        from backports import zstd  # noqa: PLC0415 - only who has such files waits for the import

        return zstd.ZstdFile(packed)
    return packed


def _zstd_error() -> tuple[type[Exception], ...]:
    module = sys.modules.get("backports.zstd")
    return () if module is None else (module.ZstdError,)


class _Counting(RawIOBase):
    """A file descriptor that it owns, and that tells of every read."""

    def __init__(self, descriptor: int, counted: Callable[[int], None]) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._counted = counted

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what BufferedReader gives
        while True:
            try:
                count = os.readv(self._descriptor, [buffer])
            except BlockingIOError:  # whoever shares a pipe or terminal may have set it so
                select.select([self._descriptor], [], [])
            else:
                self._counted(count)
                return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()
