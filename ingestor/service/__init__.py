"""Where the parts are put together: a function for each command, and `ingest` for a notebook or another program."""

from ingestor.service.check import check
from ingestor.service.ingest import ingest
from ingestor.service.inspect import results, status
from ingestor.service.reconcile import reconcile
from ingestor.service.resume import resume
from ingestor.service.run import run
from ingestor.service.simulate import simulate

__all__ = ["check", "ingest", "reconcile", "results", "resume", "run", "simulate", "status"]
