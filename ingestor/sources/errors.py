"""Why an input can't be read to its end."""


class DamagedSourceError(Exception):
    """An input can't be read to its end: `str()` says why."""


class OtherFormatError(DamagedSourceError):
    """An input is not JSON Lines: `str()` says what to do.

    Attributes:
        blank: how many blank lines come before it.
        begun: the beginning of its first line, where that is known.
    """

    def __init__(self, reason: str, *, blank: int = 0, begun: bytes = b"") -> None:
        super().__init__(reason)
        self.blank = blank
        self.begun = begun


class UnpackError(OtherFormatError):
    """An input is compressed so that it can't be decompressed here, or only its name says that it is compressed.

    The former is a large window, a dictionary, or a decompressor that is missing. In `str()`, `FILE` is its name.
    """
