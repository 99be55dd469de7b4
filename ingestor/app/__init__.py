"""Where the parts are put together: a module for each command, and `ingest` for a notebook or another program."""

from ingestor.app.ingest import ingest

__all__ = ["ingest"]
