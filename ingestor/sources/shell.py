"""The name of a source in a command that is advised."""

import shlex

from ingestor.model.sources import STDIN
from ingestor.model.text import printable
from ingestor.sources.locate import is_descriptor

FILE = "FILE"
"""Stands for the name of a source."""


def quoted(name: str) -> str:
    """Return the name of a source as a shell reads it; FILE if it is no file, or can't be shown."""
    if name == STDIN or is_descriptor(name) or printable(name, len(name)) != name:
        return FILE
    return shlex.quote(name)
