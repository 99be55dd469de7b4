"""Why an input can't be read to its end."""


class DamagedSourceError(Exception):
    """An input can't be read to its end: `str()` says why."""


class ForeignFormatError(DamagedSourceError):
    """An input, or a part of it, has a format that this program can't read: `str()` names it and what to do.

    Attributes:
        blank: how many blank lines come before it.
        begun: the beginning of its first line, where that is known.
    """

    def __init__(self, reason: str, *, blank: int = 0, begun: bytes = b"") -> None:
        super().__init__(reason)
        self.blank = blank
        self.begun = begun
