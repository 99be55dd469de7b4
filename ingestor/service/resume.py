"""`ingestor resume`: what a stopped batch left is finished."""

from contextlib import suppress
from dataclasses import replace

from ingestor.journal.leftovers import batches, last_files, last_pass, unfinished_sources
from ingestor.journal.reader import Pass
from ingestor.model.errors import ExitCode, UsageError
from ingestor.policy.identity import Scope
from ingestor.report.text import printable
from ingestor.service.ingest import Wrap, as_they_are
from ingestor.service.parts import scope_of
from ingestor.service.run import bring_in
from ingestor.settings.options import Settings
from ingestor.sources.locate import STDIN, locate
from ingestor.sources.reader import Reader
from ingestor.sources.spool import Spool

_EARLY_ENDS = {
    None: "was killed, or is under way",
    ExitCode.STOPPED: "was stopped early",
    ExitCode.HALTED: "was halted",
}


def resume(settings: Settings, *, wrap: Wrap = as_they_are) -> ExitCode:
    """Bring in the standard input that was kept, the files whose jobs have no known end, and those of the last run.

    The files of the last run are read where it did not come to its end. What is done stays done; a job whose token no
    longer protects it is not sent (see `reconcile`). Where there is none of that, but the last run did not come to
    its end, that is told, and the exit code is STOPPED: what its standard input still had, only `run` can read.
    Raises IngestorError, also where such a file is no longer there.
    """
    scope = scope_of(settings)
    spool = Spool(settings.state, scope)
    files = _files(settings, scope)
    if not files and spool.is_empty:
        return _nothing_left(settings, scope)
    paths = locate(list(files)) if files else []
    reader = Reader(paths, scope, spool, sources=files)
    return bring_in(settings, reader, [files[path] for path in paths] or [STDIN], spool, wrap)


def _files(settings: Settings, scope: Scope) -> dict[str, str]:
    """Return the files to read, first those that something is in doubt of: the source that each was, by its path."""
    known = last_files(settings.state, scope)
    sources = [*unfinished_sources(settings.state, scope), *(known.paths if known.are_unread else ())]
    return {known.paths.get(source, source): source for source in sources if source != STDIN}


def _nothing_left(settings: Settings, scope: Scope) -> ExitCode:
    """Tell that this batch has nothing to resume, what else may be meant, and return the exit code."""
    batch, last = printable(scope.batch), last_pass(settings.state, scope)
    early = _early_end(last)
    if early is None:
        print(f"Nothing is left to resume of batch {batch} in {printable(str(settings.state))}.")
    else:
        print(
            f"The last run of batch {batch} {early}, and nothing is kept of it: what it had not read yet is read by "
            "the same `ingestor run` command."
        )
    for name in _others(settings, scope):
        print(f"Batch {printable(name)} has something to resume: --batch {printable(name)}")
    return ExitCode.OK if early is None else ExitCode.STOPPED


def _early_end(last: Pass | None) -> str | None:
    """Return how a run ended before it came to its end; None where it did come to it, or there was none."""
    return None if last is None else _EARLY_ENDS.get(None if last.exit_code is None else ExitCode(last.exit_code))


def _others(settings: Settings, scope: Scope) -> list[str]:
    """Return the other batches of this target that have something to resume."""
    known: list[str] = []
    with suppress(UsageError):  # there is no journal yet
        known = batches(settings.state, platform=scope.platform, workspace=scope.workspace)
    others = [replace(scope, batch=name) for name in known if name != scope.batch]
    return [other.batch for other in others if _has_something(settings, other)]


def _has_something(settings: Settings, scope: Scope) -> bool:
    return bool(_files(settings, scope)) or not Spool(settings.state, scope).is_empty
