"""Compressed data: it is recognized by its first bytes, and decompressed in bounded memory."""

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from ingestor.sources.errors import DamagedSourceError, UnpackError

SUFFIXES = ("gz", "gzip", "bz2", "xz", "lzma", "zst", "zstd")
"""The ends of the names of compressed files."""

LONGEST_MAGIC = 10
"""Bytes that are enough to recognize every format."""

_LARGEST_DICTIONARY = 256 * 1024 * 1024  # bytes that decompression of .xz may need; `xz -9` needs 65 MiB
_LARGEST_WINDOW_LOG = 27  # of the bytes that decompression of .zst may need: 128 MiB; `zstd --long` needs no more
_PADDING = b"\0"  # which tapes and `xz` add after the data


class _Member(Protocol):
    """Decompresses one stream, frame or member. This is the interface of the decompressors of bz2, lzma and zstd."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipMember:
    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(wbits=31)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def unused_data(self) -> bytes:
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        found = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self.needs_input = not self._inflate.unconsumed_tail and len(found) < max_length
        return found


def _bzip2() -> _Member:
    import bz2  # noqa: PLC0415 - only a reader of such files pays for this import and those below

    return bz2.BZ2Decompressor()


def _xz() -> _Member:
    import lzma  # noqa: PLC0415

    return lzma.LZMADecompressor(memlimit=_LARGEST_DICTIONARY)


def _zstd() -> _Member:
    from backports import zstd  # noqa: PLC0415

    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _LARGEST_WINDOW_LOG})


@dataclass(frozen=True, slots=True)
class Compression:
    """A format: its name, the command that decompresses it, and how its data begins."""

    name: str
    command: str
    magic: tuple[bytes, ...]
    open: Callable[[], _Member]


_BZIP2_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")  # the numbers before a block and before the end
_SKIPPABLE_FRAMES = tuple(bytes([first, 0x2A, 0x4D, 0x18]) for first in range(0x50, 0x60))  # `pzstd` begins with one
_FORMATS = (
    Compression("gzip", "gzip -dc", (b"\x1f\x8b",), _GzipMember),
    Compression("bzip2", "bzip2 -dc", tuple(b"BZh%d%b" % it for it in product(range(1, 10), _BZIP2_BLOCKS)), _bzip2),
    Compression("xz", "xz -dc", (b"\xfd7zXZ\0", b"]\0\0"), _xz),  # the second one is that of .lzma
    Compression("zstd", "zstd -dc --long=31", (b"\x28\xb5\x2f\xfd", *_SKIPPABLE_FRAMES), _zstd),
)


def compression_of(head: bytes) -> Compression | None:
    """Return the format of data that begins so; None if it is not compressed."""
    return next((it for it in _FORMATS if head.startswith(it.magic)), None)


def is_undecided(head: bytes) -> bool:
    """Whether more bytes are needed to recognize the format."""
    return any(magic.startswith(head) and head != magic for it in _FORMATS for magic in it.magic)


def decompressed(read: Callable[[], bytes], size: int) -> Iterator[bytes]:
    """Yield what the compressed bytes that `read` returns mean, at most `size` bytes at once.

    `read` returns b"" at the end. Members may follow each other, in any format, with NUL bytes between them.
    Raises DamagedSourceError, after all that could be decompressed, and what `read` raises.
    """
    data = read()
    while data := _next_member(data, read):
        compression = compression_of(data)
        if compression is None:
            raise DamagedSourceError("after the compressed data comes data that is not compressed")
        with _explained(compression):
            member = compression.open()
        while True:
            with _explained(compression):
                block = member.decompress(data, size)
            if block:
                yield block
            if member.eof:
                break
            data = read() if member.needs_input else b""
            if member.needs_input and not data:
                raise DamagedSourceError("the compressed data is cut short or damaged (its end is missing)")
        data = member.unused_data


def _next_member(data: bytes, read: Callable[[], bytes]) -> bytes:
    """Return the beginning of the next member, without the padding before it; nothing at the end."""
    data = data.lstrip(_PADDING)
    while is_undecided(data) and (more := read()):
        data = (data + more).lstrip(_PADDING)
    return data


@contextmanager
def _explained(compression: Compression) -> Iterator[None]:
    """Turn what the decompressors raise into DamagedSourceError."""
    use = _use(compression.command)
    try:
        yield
    except ImportError:
        raise UnpackError(f"this Python can't decompress {compression.name}{use}") from None
    except MemoryError:
        raise UnpackError(f"the {compression.name} data needs too much memory{use}") from None
    except Exception as error:
        raise _explanation(compression, str(error)) from error


def _explanation(compression: Compression, error: str) -> DamagedSourceError:
    use = _use(compression.command)
    if "too much memory" in error:  # of zstd
        return UnpackError(f"the zstd data has a window of more than 128 MiB{use}")
    if "Memory usage limit" in error:  # of lzma
        return UnpackError(f"the xz data has a dictionary of more than 256 MiB{use}")
    if "Dictionary mismatch" in error:
        return UnpackError(
            "the zstd data needs a dictionary: use `zstd -dc -D DICT FILE | ingestor run -` with the same settings"
        )
    return DamagedSourceError(f"the compressed data is cut short or damaged ({compression.name}: {error})")


def _use(command: str) -> str:
    return f": use `{command} FILE | ingestor run -` with the same settings"
