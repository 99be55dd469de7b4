"""The options of `ingestor results`. They come by flag only."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict

from ingestor.settings.options import Group, Option


class Format(StrEnum):
    """The form of the map from records to runs."""

    JSONL = "jsonl"
    CSV = "csv"


class JobState(StrEnum):
    """The states of a job in the journal."""

    CREATED = "created"
    PARTIAL = "partial"
    FAILED = "failed"
    UNRESOLVED = "unresolved"
    PENDING = "pending"
    """Begun, without an outcome yet."""


class ResultsOptions(BaseModel):
    """What is printed of the journal. An `outcome` of None is all."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    format: Annotated[Format, Option(Group.RESULTS, "FORM")] = Format.JSONL
    """One JSON object a line, or a table with a header."""
    outcome: Annotated[JobState | None, Option(Group.RESULTS, "NAME", default="all")] = None
    """Print only the records with this outcome."""
