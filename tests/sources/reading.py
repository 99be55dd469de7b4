"""What the tests of sources share."""

from collections.abc import Iterator
from itertools import chain

from ingestor.model.job import Line, Reject
from ingestor.sources.lines import lines as portions
from ingestor.sources.stored import Stored


def lines(stored: Stored) -> Iterator[Line | Reject]:
    """Read an input line by line, whatever portions they come in."""
    return chain.from_iterable(portions(stored))
