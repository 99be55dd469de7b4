"""Records that come slowly through a pipe. What one reader leaves there, the next one reads."""

import array
import asyncio
import fcntl
import os
import termios
from random import Random
from types import TracebackType
from typing import Self

LONGEST = 1000
"""Bytes of a piece; pieces begin and end anywhere in a line."""
_PAUSE = 0.04  # seconds between pieces, at most


class Feed:
    """Writes `text` while entered; `descriptor` is the end to read from."""

    def __init__(self, text: bytes, random: Random) -> None:
        self._text = text
        self._random = random
        self.descriptor, self._writing = os.pipe()

    @property
    def is_dry(self) -> bool:
        """Whether all is written and read."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self.descriptor, termios.FIONREAD, waiting)
        return self._producer.done() and waiting[0] == 0

    async def __aenter__(self) -> Self:
        self._producer = asyncio.create_task(self._write())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.cancel()
        await asyncio.wait({self._producer})
        os.close(self.descriptor)

    async def _write(self) -> None:
        """Write all, piece by piece; a pipe that nobody reads would have to be full before this blocked."""
        try:
            while self._text:
                size = self._random.randint(1, LONGEST)
                self._text = self._text[os.write(self._writing, self._text[:size]) :]
                await asyncio.sleep(self._random.uniform(0, _PAUSE))
        finally:
            os.close(self._writing)
