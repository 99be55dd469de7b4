"""The options of the commands that sum up a batch, or make its journal smaller. They are flags only."""

import re
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict

from ingestor.settings.options import Group, Option
from ingestor.settings.values import LocalPath

_MODEL = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

_UNITS = {"h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}
_MOST_DIGITS = 6


class Form(StrEnum):
    """The form of a report."""

    HTML = "html"
    TEXT = "text"


class ReportOptions(BaseModel):
    """What `ingestor report` writes, and where."""

    model_config = _MODEL

    to: Annotated[LocalPath | None, Option(Group.RESULTS, "FILE", default="standard output")] = None
    """The file to write. An older report is replaced; any other file is left alone."""
    format: Annotated[Form | None, Option(Group.RESULTS, "FORM", default="html for a FILE.html, else text")] = None
    """The form of the report. HTML is one file that loads nothing."""


def _age(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = re.fullmatch(rf"([0-9]{{1,{_MOST_DIGITS}}})([hdw])", value)
    if found is None or int(found[1]) == 0:
        raise ValueError("must be a whole number of hours, days or weeks: 12h, 90d, 52w")
    return int(found[1]) * _UNITS[found[2]]


Age = Annotated[float, BeforeValidator(_age)]
"""Seconds, given as hours, days or weeks."""


class PruneOptions(BaseModel):
    """What `ingestor prune` deletes."""

    model_config = _MODEL

    older_than: Annotated[Age | None, Option(Group.PRUNE, "AGE", default="it must be given")] = None
    """Delete rows of jobs that were finished longer ago than this: 12h, 90d or 52w."""
    dry_run: Annotated[bool, Option(Group.PRUNE)] = False
    """Only count what would be deleted."""
