"""What the tests of sources share."""

from collections.abc import Iterator
from itertools import chain

from ingestor.model.record import Line, Reject
from ingestor.sources.byte_source import ByteSource
from ingestor.sources.lines import lines as portions


def lines(stored: ByteSource) -> Iterator[Line | Reject]:
    """Read an input line by line, whatever portions they come in."""
    return chain.from_iterable(portions(stored))
