"""One turn of a followed file: it is recognized, then read, then read on."""

import os
from collections.abc import Iterator, Sequence
from operator import attrgetter

from ingestor.model.record import Job, Origin, Reject
from ingestor.model.sources import Chunk
from ingestor.sources.compression import compression_of, is_undecided
from ingestor.sources.follow.consumed import BEFORE, Consumed, FollowPosition, first_digest, resumed
from ingestor.sources.follow.files import FollowedFile, Handles
from ingestor.sources.follow.memory import durable
from ingestor.sources.follow.packed import PackedFile
from ingestor.sources.follow.plain import TURN, PlainFile, RewrittenError
from ingestor.sources.follow.recognition import Later, Recognition, first_of
from ingestor.sources.lines import LONGEST
from ingestor.sources.unchanged import state_of

_COMPARED = 1024 * 1024  # bytes that are compared in one turn


class Turns:
    """Reads files, each for one turn."""

    def __init__(self, recognition: Recognition, handles: Handles) -> None:
        self._recognition = recognition
        self._handles = handles

    def read(self, file: FollowedFile) -> Chunk | None:
        """Return what a turn gave. Raises OSError, RewrittenError and Later."""
        if file.refused is not None:
            self._look_at_refused(file, *file.refused)
            return None
        if file.work is None and file.plain is None:
            self._open(file)
        if file.work is not None:
            return _step(file, file.work)
        return None if file.plain is None else self._read_lines(file, file.plain)

    def read_last_line(self, file: FollowedFile, *, is_last: bool) -> Chunk | None:
        """Return the last line, which has no end, if it is a record, or if it `is_last`.

        Raises OSError, RewrittenError.
        """
        descriptor = self._handles.open(file)
        if file.plain is None:
            self._open(file)
        if (plain := file.plain) is None:
            return None
        text, length = plain.last_line(descriptor)
        records = self._recognition.parse(file, plain.consumed.line, [text])
        file.tried_at = file.size
        if any(isinstance(it, Reject) for it in records) and not is_last:
            return None
        if all(isinstance(it, Job) for it in records):
            plain.take_last_line(descriptor, length)
            file.offset = plain.consumed.offset
        else:
            file.rejected_at = file.size
        position = str(file.position(plain.consumed, file.state))
        return self._recognition.chunk(file, records, position, plain.consumed.first)

    def _open(self, file: FollowedFile) -> None:
        """Find out how a file is read, and from where."""
        descriptor = self._handles.open(file)
        position = FollowPosition.parse(file.at)
        if position is not None and position.offset and not position.is_packed:
            if (consumed := resumed(descriptor, position)) is None:
                raise RewrittenError
            file.plain = PlainFile(consumed)
            self._recognition.alike(file, consumed.first, file.size)
        else:
            self._begin(file, descriptor, position)

    def _begin(self, file: FollowedFile, descriptor: int, known: FollowPosition | None) -> None:
        """Begin with a compressed file, or with one of which nothing was read."""
        state = state_of(os.fstat(descriptor))
        head = os.pread(descriptor, TURN, 0)
        if not head or (is_undecided(head) and len(head) == state[0]):
            file.settled = state
            return
        if (compression := compression_of(head)) is not None:
            file.is_packed = True
            self._recognition.require_complete(file)
            file.work = PackedFile(self._recognition, file, descriptor, compression.command, known).read()
            return
        if known is not None and known.is_packed:
            raise RewrittenError
        if (chunk := self._recognition.other_format(file, head)) is not None:
            self._recognition.settle(file, state)
            file.work = iter([chunk])
            return
        copied = durable(self._recognition.alike(file, first_of(head), state[0]))
        if copied and max(it.offset for it in copied) > state[0]:
            self._recognition.require_complete(file)
        if copied:
            file.work = self._compare(file, descriptor, copied)
        else:
            file.plain = PlainFile(Consumed())

    def _look_at_refused(self, file: FollowedFile, length: int, digest: bytes) -> None:
        """Raise RewrittenError if a file of another format begins in another way now."""
        descriptor = self._handles.open(file)
        state = state_of(os.fstat(descriptor))
        if state[0] < length or (not file.is_packed and first_digest(os.pread(descriptor, length, 0)) != digest):
            raise RewrittenError
        self._recognition.settle(file, state)

    def _read_lines(self, file: FollowedFile, plain: PlainFile) -> Chunk | None:
        descriptor = self._handles.open(file)
        was_changed = file.settled is not None and file.settled[:2] != file.state[:2]
        if was_changed and file.size <= file.offset:
            self._require_same(descriptor, file, plain)
        lines = plain.read(descriptor)
        self._recognition.read_bytes += lines.size
        file.offset = plain.consumed.offset
        if lines.at_end:
            self._recognition.settle(file, lines.state)
        if not lines.texts:
            return None
        records = self._recognition.parse(file, lines.first, lines.texts)
        if lines.first_length is not None:
            records = [_too_long(Origin(file.source.name, lines.first), lines.texts[0], lines.first_length)]
        position = str(file.position(plain.consumed, lines.state))
        return self._recognition.chunk(file, records, position, plain.consumed.first)

    def _require_same(self, descriptor: int, file: FollowedFile, plain: PlainFile) -> None:
        """Raise RewrittenError if a file that did not grow has other content now."""
        if resumed(descriptor, file.position(plain.consumed, file.state)) is None:
            raise RewrittenError

    def _compare(self, file: FollowedFile, descriptor: int, copied: Sequence[FollowPosition]) -> Iterator[Chunk | None]:
        """Find out how much of a file is a copy of what was read already, and leave that out."""
        consumed, best, before = Consumed(), Consumed(), b""
        for position in sorted(copied, key=attrgetter("offset")):
            while (left := position.offset - consumed.offset) > 0:
                if not (block := os.pread(descriptor, min(_COMPARED, left), consumed.offset)):
                    break
                consumed.add(block, before=before)
                before = (before + block)[-BEFORE:]
                yield None
            if consumed.is_at(position):
                best = consumed.copy()
                best.line = position.line
        file.plain, file.offset = PlainFile(best), best.offset
        if best.offset:
            yield self._recognition.chunk(file, (), str(file.position(best, file.state)), best.first)


def _step(file: FollowedFile, work: Iterator[Chunk | None]) -> Chunk | None:
    try:
        return next(work)
    except StopIteration:
        file.work = None
        return None
    except (Later, OSError):
        file.work = None
        raise


def _too_long(origin: Origin, text: bytes, length: int) -> Reject:
    reason = f"the line has {length:,} bytes, more than {LONGEST:,}: only its beginning is kept"
    return Reject(origin, reason, text[:LONGEST].decode(errors="backslashreplace"))
