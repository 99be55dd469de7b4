"""What looking for a job's run has shown."""

from dataclasses import dataclass
from enum import StrEnum

from ingestor.model.reply import Reply


class Presence(StrEnum):
    """Whether a run carries the token that was looked for."""

    FOUND = "found"
    ABSENT = "absent"
    """The service answered, and there was none at that moment. What it still worked on may come after."""
    UNDECIDED = "undecided"
    """It could not be asked, or its answer can't be relied on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The end of a look-up.

    `reply` is the answer to its last request. It names the run where that is FOUND, and its message tells of others
    that carry the same token; where it is UNDECIDED, its status, fault and message say why.
    """

    presence: Presence
    reply: Reply
