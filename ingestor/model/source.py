"""What a pass reads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """An input: the name that its records carry, and the real path under which another process can read the same.

    The path leads through no link; it is None where none can: standard input, a FIFO, a descriptor.
    """

    name: str
    path: str | None
