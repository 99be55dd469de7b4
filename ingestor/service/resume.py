"""`ingestor resume`: what a stopped batch left is finished."""

from ingestor.journal.reader import unfinished_sources
from ingestor.model.errors import ExitCode
from ingestor.service.ingest import Wrap, as_they_are
from ingestor.service.parts import scope_of
from ingestor.service.run import bring_in
from ingestor.settings.options import Settings
from ingestor.sources.locate import STDIN, locate
from ingestor.sources.reader import Reader
from ingestor.sources.spool import Spool


def resume(settings: Settings, *, wrap: Wrap = as_they_are) -> ExitCode:
    """Bring in the standard input that was kept, and read again the files whose jobs have no known end.

    What is done stays done; a job whose token no longer protects it is not sent (see `reconcile`). Raises
    IngestorError, also where such a file is no longer there.
    """
    scope = scope_of(settings)
    spool = Spool(settings.state, scope)
    files = [name for name in unfinished_sources(settings.state, scope) if name != STDIN]
    if not files and spool.is_empty:
        print(f"Nothing is left to resume in {settings.state}.")
        return ExitCode.OK
    names = locate(files) if files else []
    return bring_in(settings, Reader(names, scope, spool), names or [STDIN], spool, wrap)
