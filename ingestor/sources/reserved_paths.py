"""The files that the program writes itself, which are no sources."""

import os
import re
from dataclasses import dataclass

_DATED = re.compile(r"-\d{8}T\d{6}Z(-\d+)?$")  # what an earlier run's rejects are renamed to


@dataclass(frozen=True, slots=True)
class ReservedPaths:
    """Where log, rejects and state lie; an empty name is none."""

    log: str = ""
    rejects: str = ""
    state: str = ""

    def writer(self, name: str) -> str | None:
        """Return the option by which this file is written, None where none does."""
        path = os.path.realpath(name)
        if self.log and path == os.path.realpath(self.log):
            return "--log"
        if self.rejects and _undated(path) == os.path.realpath(self.rejects):
            return "--rejects"
        if self.state and path.startswith(os.path.realpath(self.state) + os.sep):
            return "--state"
        return None


def _undated(path: str) -> str:
    stem, suffix = os.path.splitext(path)
    return _DATED.sub("", stem) + suffix
