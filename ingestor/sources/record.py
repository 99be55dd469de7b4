"""A line becomes a job, or says why it can't."""

from ingestor.model.job import Job, Line, Reject
from ingestor.policy.identity import Scope, identify, make_job
from ingestor.sources.exact import FIELDS, LONGEST_JOB_ID, read_exactly
from ingestor.sources.plain import read_plain

__all__ = ["FIELDS", "LONGEST_JOB_ID", "parse_line"]


def parse_line(line: Line, scope: Scope) -> Job | Reject:
    """Make the job of a line, or the reject that tells everything that is wrong with it. Never raises."""
    plain = read_plain(line)
    if plain is not None:
        return identify(line, *plain, scope)
    record = read_exactly(line)
    return record if isinstance(record, Reject) else make_job(line, *record, scope)
