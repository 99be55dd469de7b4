"""What the tests of standard input share."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ingestor.model.record import Job
from ingestor.model.sources import Chunk


@contextmanager
def standard_input(descriptor: int) -> Iterator[None]:
    """Put a descriptor in the place of standard input inside the block."""
    before = os.dup(0)
    os.dup2(descriptor, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)


@contextmanager
def piped(text: bytes) -> Iterator[None]:
    """Make standard input a pipe that holds this text and then ends. It must fit into the pipe."""
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    with standard_input(reading):
        os.close(reading)
        yield


def texts(chunks: Sequence[Chunk]) -> list[bytes]:
    """Return the lines of the records in these chunks."""
    return [it.raw if isinstance(it, Job) else it.text.encode() for chunk in chunks for it in chunk.records]
