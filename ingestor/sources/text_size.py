"""About how many bytes of text an input has, of which parts are compressed."""

from collections.abc import Sequence
from contextlib import suppress

from ingestor.model.sources import Source
from ingestor.sources.compression import LONGEST_MAGIC, compression_of, decompressed
from ingestor.sources.errors import DamagedSourceError

_SHARE_BEGUN = 0.1
"""The size is known once sources with this share of it were begun: the next ones may have other records."""

_SAMPLE = 256 * 1024  # compressed bytes; bzip2 needs a whole block
_MOST_TEXT = 8 * 1024 * 1024  # of a sample


class TextSize:
    """Counts the text that is read, source after source, and estimates the rest from the stored sizes.

    Each compression has a ratio of its own, which is learned: first from a sample, then from what is read.
    `sources` are in the order of reading, with their stored sizes; None is an unknown size.

    Attributes:
        read: the bytes of text that were read.
        total: those of all sources; None while an estimate would be a guess.
    """

    def __init__(self, sources: Sequence[tuple[Source, int | None]]) -> None:
        self.read = 0
        self._has_sizes = all(size is not None for _, size in sources)
        self._all = {"": 0}  # stored bytes by compression; "" is none
        self._stored = {"": 0}  # those of them that were read or sampled
        self._text = {"": 0}  # what these become
        sizes = [(self._compression_of(source), size or 0) for source, size in sources]
        for kind, size in sizes:
            self._all[kind] += size
        self._sizes = iter(sizes)
        self._later = dict(self._all)
        self._kind, self._left = "", 0  # of the present source: its compression, and the stored bytes that are left
        self.total = self._estimate()

    def begin(self) -> None:
        """Begin with the next source."""
        self._kind, self._left = next(self._sizes)
        self._later[self._kind] -= self._left

    def add(self, extent: tuple[int, int], text: int, size: int | None, *, is_end: bool) -> tuple[int, int]:
        """Count a part of the present source; return where its text begins and ends in that of all sources.

        `extent` is where it is in the stored bytes, `text` how much it is, `size` the size of the source.
        """
        stored = extent[1] - extent[0]
        text = text if self._kind else stored
        if self._kind and not is_end:  # the end may be data that is not read any more
            self._stored[self._kind] += stored
            self._text[self._kind] += text
        self._left = 0 if is_end else max(1, (size or 0) - extent[1])
        begin, self.read = self.read, self.read + text
        self.total = self._estimate()
        return begin, self.read

    def _estimate(self) -> int | None:
        if not self._has_sizes:
            return None
        later = sum(size * self._ratio(kind) for kind, size in self._later.items())
        whole = sum(size * self._ratio(kind) for kind, size in self._all.items())
        if whole - later < _SHARE_BEGUN * whole:
            return None
        return self.read + round(later + self._left * self._ratio(self._kind))

    def _ratio(self, kind: str) -> float:
        return self._text[kind] / self._stored[kind] if self._text[kind] else 1.0

    def _compression_of(self, source: Source) -> str:
        """Return how a file is compressed, by its first bytes; "" if it is not. Sample the first such file."""
        head = _beginning(source, LONGEST_MAGIC)
        found = compression_of(head)
        kind = "" if found is None else found.name
        if kind not in self._all:
            sample = _beginning(source, _SAMPLE)
            self._all[kind], self._stored[kind], self._text[kind] = 0, len(sample), _text_of(sample)
        return kind


def _beginning(source: Source, size: int) -> bytes:
    """Return the first bytes of a file; none of what is no file, or can't be read: reading it fails with the reason."""
    if source.path is not None:
        with suppress(OSError), open(source.path, "rb") as file:
            return file.read(size)
    return b""


def _text_of(sample: bytes) -> int:
    """Return how many bytes of text the beginning of compressed data becomes."""
    size, parts = 0, iter([sample])
    with suppress(DamagedSourceError):  # it has no end
        for block in decompressed(lambda: next(parts, b""), 65536):
            size += len(block)
            if size > _MOST_TEXT:
                break
    return size
