"""Follows files: looks for what is new, and reads it in turns. Synchronous; the time is given to it."""

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from ingestor.model.lag import InputLag
from ingestor.model.sources import Checkpoint, Chunk, Source, SourceEnd
from ingestor.sources.follow.done_files import DoneFiles
from ingestor.sources.follow.files import FollowedFile, Handles
from ingestor.sources.follow.lag import lag_of
from ingestor.sources.follow.last_lines import LastLines
from ingestor.sources.follow.memory import Memory
from ingestor.sources.follow.patterns import Moment
from ingestor.sources.follow.plain import RewrittenError
from ingestor.sources.follow.recognition import Later, Recognition
from ingestor.sources.follow.turns import Turns
from ingestor.sources.follow.watch import Status, Watch

HELD = 30.0
"""Seconds without a change after which a file is closed that no name leads to."""
IDLE = 60.0
"""Seconds without a change after which another file is closed. It is opened again if it changes."""
RETRY = 30.0
"""Seconds after which a file that can't be read is opened again."""
UNCLAIMED = 60.0
"""Seconds after which a file of an earlier execution that was not found is taken for deleted."""
MOST_SAID = 1000
"""For how many files it is said that they are read from their start."""
MOST_HELD = 128
"""How many files are held open that no name leads to."""


class Tailing:
    """Follows files.

    Args:
        watch: says which files there are.
        recognition: says what a file is.
        turns: reads a file for one turn.
        memory: what is known of files.
        handles: the open files.
        say: takes a sentence for the user.
        collects_done: whether `done` collects the files that are done.
    """

    def __init__(
        self,
        watch: Watch,
        recognition: Recognition,
        turns: Turns,
        memory: Memory,
        handles: Handles,
        *,
        say: Callable[[str], None],
        collects_done: bool = False,
    ) -> None:
        self._watch = watch
        self._recognition = recognition
        self._turns = turns
        self._memory = memory
        self._handles = handles
        self._say = say
        self.done = DoneFiles(is_used=collects_done)
        self._paths: dict[str, FollowedFile] = {}
        self._files: dict[tuple[int, int], FollowedFile] = {}
        self._sources: dict[Source, FollowedFile] = {}
        self._ready: deque[FollowedFile] = deque()
        self._later: dict[FollowedFile, float] = {}
        self._last_lines = LastLines(turns)
        self._chunks: deque[Chunk] = deque()
        self._began_at: float | None = None
        self._is_finishing = False
        self._goals: dict[FollowedFile, int] = {}
        self._said: set[str] = set()

    @property
    def has_work(self) -> bool:
        """Whether something is to be read now."""
        return bool(self._chunks or self._ready)

    def poll(self, moment: Moment) -> None:
        """Look for new files and for changes."""
        self._began_at = moment.now if self._began_at is None else self._began_at
        lost: dict[FollowedFile, None] = {}
        for path, status in self._watch.look(moment):
            self._see(path, status, moment, lost)
        for file in [it for it in lost if not it.names and it not in self._handles]:
            self._say_unread(file, "is gone")
            self._end(file)
        for file in self._handles:
            self._look_at_open(file, moment)
        for file in [it for it, due in self._later.items() if moment.everything or due <= moment.now]:
            del self._later[file]
            self._queue(file, moment)
        self._chunks += self._last_lines.read(moment.now)
        self._drop_held()
        self._drop_rows(moment)

    def turn(self, moment: Moment) -> Chunk | None:
        """Return the next chunk; None if this turn gave none, or if there is no work."""
        if self._chunks:
            return self._chunks.popleft()
        file = self._ready.popleft() if self._ready else None
        if file is None or file.has_ended:
            return None
        file.is_queued = False
        return self._read(file, moment)

    def finish(self, moment: Moment) -> None:
        """Find everything that exists now. Call it once more, for the last lines, when there is no work left."""
        if not self._is_finishing:
            self._is_finishing = self._recognition.is_finishing = True
            self.poll(Moment(moment.now, moment.wall, everything=True))
            self._goals = {file: file.size for file in self._ready}
            return
        self._chunks += self._last_lines.read_all()

    def acknowledge(self, checkpoints: Sequence[Checkpoint]) -> None:
        """Take durable checkpoints."""
        for checkpoint in checkpoints:
            if (file := self._sources.get(checkpoint.source)) is None:
                continue
            if checkpoint.end is None:
                file.durable = checkpoint.position
                self.done.note(file)
            else:
                del self._sources[checkpoint.source]

    def lag(self) -> InputLag:
        """Return how far the files are read."""
        return lag_of([*self._ready, *self._later], list(self._handles), self._files.values())

    def close(self) -> None:
        """Close all files, and say which of them are gone with unread bytes."""
        for file in [it for it in self._handles if not it.names]:
            self._say_unread(file, "is gone")
        self._handles.close_all()

    def _see(self, path: str, status: Status | None, moment: Moment, lost: dict[FollowedFile, None]) -> None:
        """Take what a path leads to now."""
        before = self._paths.get(path)
        if before is not None and (status is None or status[:2] != before.identity):
            del self._paths[path]
            before.names.pop(path, None)
            lost[before] = None
        if status is None:
            return
        file = self._files.get(status[:2])
        if file is None:
            file = self._files[status[:2]] = self._find(path, status, moment)
        file.names[path] = None
        self._paths[path] = file
        self._update(file, status, moment)

    def _find(self, path: str, status: Status, moment: Moment) -> FollowedFile:
        """Return a file that was not followed so far in this execution."""
        changed_at = moment.now - max(0.0, moment.wall - status[3] / 1e9)
        claimed = self._memory.claim(status[:2])
        if claimed is None:
            return self._new(path, status, changed_at)
        source, position = claimed
        file = self._sources[source] = FollowedFile(path, source, status, changed_at)
        file.offset, file.is_packed, file.at = position.offset, position.is_packed, str(position)
        file.durable = file.at
        if position.state == file.state and (position.is_whole if position.is_packed else position.offset == file.size):
            file.settled = file.state
            self.done.note(file)
        self._memory.remember(file, bytes.fromhex(position.first))
        return file

    def _new(self, path: str, status: Status, changed_at: float) -> FollowedFile:
        source = Source(path, self._watch.real_path(path), self._memory.next_number())
        file = self._sources[source] = FollowedFile(path, source, status, changed_at)
        return file

    def _update(self, file: FollowedFile, status: Status, moment: Moment) -> None:
        """Take what was seen of a file."""
        if status[2:4] != file.status[2:4]:
            file.changed_at = moment.now
        if file.error is not None and status != file.status:
            self._later.pop(file, None)
        file.status = status
        if file.size < file.offset and not file.is_packed:
            self._restart(file, moment, is_again=False)
        elif file.state != file.settled:
            self._queue(file, moment)

    def _queue(self, file: FollowedFile, moment: Moment) -> None:
        if file.is_queued or file in self._later:
            return
        file.is_queued = True
        file.unread_since = file.unread_since or moment.wall
        self._ready.append(file)
        if self._handles.has_room and file.names:  # what is open stays readable when it is deleted
            with suppress(OSError):  # its turn says why
                self._handles.open(file)

    def _look_at_open(self, file: FollowedFile, moment: Moment) -> None:
        """Look at an open file; close it if it was quiet for long."""
        silent = moment.now - file.changed_at
        if file.names:
            if silent > IDLE and not file.is_queued:
                self._handles.close(file)
            return
        seen = self._handles.status(file)
        if seen is not None and seen != file.status:
            self._update(file, seen, moment)
        if not (file.has_ended or file.is_queued or file in self._later) and silent > HELD:
            self._end(file)

    def _read(self, file: FollowedFile, moment: Moment) -> Chunk | None:
        try:
            chunk = self._turns.read(file)
        except RewrittenError:
            self._restart(file, moment, is_again=True)
        except Later as later:
            self._later[file] = moment.now + later.seconds
        except OSError as error:
            self._fail(file, error, moment)
        else:
            self._after(file, moment)
            return chunk
        return None

    def _after(self, file: FollowedFile, moment: Moment) -> None:
        """Put a file back in the queue after its turn, unless nothing is left of it."""
        file.error = None
        if file.settled != file.state and not self._is_beyond_goal(file):
            self._queue(file, moment)
            return
        file.unread_since = None
        self._last_lines.note(file)

    def _is_beyond_goal(self, file: FollowedFile) -> bool:
        """Whether what is there now came after `finish`: a program that writes on does not delay the end."""
        goal = self._goals.get(file)
        return goal is not None and file.plain is not None and file.plain.scanned >= goal

    def _restart(self, file: FollowedFile, moment: Moment, *, is_again: bool) -> None:
        """Read a file from its start, because it has other content now."""
        new = self._new(file.name, file.status, moment.now)
        new.names, file.names = file.names, {}
        new.again_until = file.size if is_again else 0
        file.suspend()
        self._handles.hand_over(file, new)
        for name in new.names:
            self._paths[name] = new
        self._files[new.identity] = new
        self._end(file)
        self._queue(new, moment)
        if is_again and new.name not in self._said and len(self._said) < MOST_SAID:
            self._said.add(new.name)
            self._say(f"{new.name}: has other content than before: it is read from its start")

    def _fail(self, file: FollowedFile, error: OSError, moment: Moment) -> None:
        """Leave a file that can't be read for a while; one whose name leads elsewhere until the next look."""
        if not isinstance(error, FileNotFoundError) and file.error is None:
            file.error = error.strerror or str(error)
            self._say(f"{file.name}: can't be read: {file.error}")
        if file.names:
            self._later[file] = moment.now + (0.0 if isinstance(error, FileNotFoundError) else RETRY)
        else:
            self._say_unread(file, "is gone")
            self._end(file)

    def _end(self, file: FollowedFile) -> None:
        """End a file that is gone, or has other content now."""
        file.has_ended = True
        self._chunks += self._last_lines.end(file)
        self._handles.close(file)
        self._later.pop(file, None)
        if self._files.get(file.identity) is file:
            del self._files[file.identity]
        self._chunks.append(Chunk(file.source, (), file.at, SourceEnd.COMPLETE))
        self._memory.end(file)

    def _drop_held(self) -> None:
        """Give up the newest of the files that are held open though they were deleted, if there are too many."""
        held = [file for file in self._handles if not file.names]
        for file in held[MOST_HELD:]:
            self._say_unread(file, f"is given up, because {MOST_HELD} deleted or renamed files are held open")
            self._end(file)

    def _say_unread(self, file: FollowedFile, why: str) -> None:
        if not file.is_packed and file.refused is None and (left := file.size - file.offset) > 0:
            self._say(f"{file.name}: {why}, and {left:,} bytes of it were not read")

    def _drop_rows(self, moment: Moment) -> None:
        """Let the journal forget the files of earlier executions that are gone."""
        if self._memory.rows and self._began_at is not None and moment.now - self._began_at > UNCLAIMED:
            for source, position in self._memory.take_rows():
                self._chunks.append(Chunk(source, (), str(position), SourceEnd.COMPLETE))
