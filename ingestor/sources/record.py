"""A line becomes a job, or says why it can't."""

from ingestor.model.record import Job, Line, Reject
from ingestor.policy.identity import Scope, identify, make_job
from ingestor.sources.parse_fast import parse_fast
from ingestor.sources.parse_strict import FIELDS, LONGEST_JOB_ID, parse_strict

__all__ = ["FIELDS", "LONGEST_JOB_ID", "parse_line"]


def parse_line(line: Line, scope: Scope) -> Job | Reject:
    """Make the job of a line, or the reject that tells everything that is wrong with it. Never raises."""
    plain = parse_fast(line)
    if plain is not None:
        return identify(line, *plain, scope)
    record = parse_strict(line)
    return record if isinstance(record, Reject) else make_job(line, *record, scope)
