"""`ingestor resume`: what a stopped batch left is finished."""

import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from ingestor.app.ingest import Wrap, as_they_are
from ingestor.app.parts import scope_of
from ingestor.app.run import bring_in
from ingestor.journal.leftovers import batches, known_inputs, last_execution, sources_in_doubt, unfinished_sources
from ingestor.journal.reader import Execution
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.source import Source
from ingestor.policy.identity import Scope
from ingestor.report.text import printable
from ingestor.settings.options import Settings
from ingestor.sources.locate import STDIN, may_be_file, require_file
from ingestor.sources.reader import Reader
from ingestor.sources.spool import Spool

_EARLY_ENDS = {
    None: "was killed, or is under way",
    ExitCode.STOPPED: "was stopped early",
    ExitCode.HALTED: "was halted",
}

_CUT = (
    "the run that kept standard input did not see its end: what is kept is brought in, and if there was more, the same "
    "`ingestor run` command reads on"
)


def resume(settings: Settings, *, wrap: Wrap = as_they_are) -> ExitCode:
    """Bring in the standard input that was kept, the files whose jobs have no known end, and what is unread.

    Unread is what a run was to read, and no run since has read to its end. What is done stays done; a job whose token
    no longer protects it is not sent (see `reconcile`). Where something is unread that only `run` can read, that is
    told, and the exit code is STOPPED instead of OK; INCOMPLETE where a job is in doubt that no file has any more.
    Raises IngestorError, also where a file is no longer there.
    """
    scope = scope_of(settings)
    spool = Spool(settings.state, scope)
    files = _files(settings, scope)
    if not files and spool.is_empty:
        return _nothing_to_read(settings, scope)
    _require(files)
    if spool.is_cut:
        print(f"ingestor: {_CUT}", file=sys.stderr)
    reader = Reader(list(files), scope, spool, called=files)
    code = bring_in(settings, reader, list(files.values()) or [STDIN], spool, wrap)
    if code is ExitCode.OK and (beyond := _beyond_reach(settings, scope)):
        code, words = beyond
        print(f"ingestor: {words}", file=sys.stderr)
    return code


def _files(settings: Settings, scope: Scope) -> dict[str, str]:
    """Return the files to read, first those that something is in doubt of: the source that each was, by its path."""
    known = known_inputs(settings.state, scope)
    paths: dict[str, list[str | None]] = {STDIN: []}
    for it in known:
        paths.setdefault(it.source.name, []).append(it.source.path)
    may_exist = [
        Source(name, path)
        for name in unfinished_sources(settings.state, scope)
        for path in paths.get(name, [name] if may_be_file(name) else [])  # older journals know no paths
    ]
    sources = [*may_exist, *(it.source for it in known if it.is_unread)]
    return {source.path: source.name for source in sources if source.path is not None}


def _require(paths: Iterable[str]) -> None:
    """Raise UsageError where one of the files is not there."""
    try:
        for path in paths:
            require_file(path)
    except UsageError as error:
        raise UsageError(
            f"{error} An earlier run did not finish it: put it back, or an empty file in its place to let it go."
        ) from error


def _beyond_reach(settings: Settings, scope: Scope) -> tuple[ExitCode, str] | None:
    """Return how to end, and what to say, where something is left that can't be read again; None where nothing is."""
    batch = printable(scope.batch)
    if lost := [it.source.name for it in known_inputs(settings.state, scope) if it.is_unread]:
        return ExitCode.STOPPED, (
            f"A run of batch {batch} did not come to the end of {_named(lost)}, and nothing is kept of the rest: "
            "the same `ingestor run` command reads on, or lets it go where nothing comes."
        )
    if may_exist := sources_in_doubt(settings.state, scope):
        return ExitCode.INCOMPLETE, (
            f"Records of batch {batch} from {_named(may_exist)} have no known end, and nothing that can be read again "
            "has them: `ingestor reconcile` looks for their runs."
        )
    return None


def _named(sources: list[str]) -> str:
    return printable(", ".join("standard input" if name == STDIN else name for name in sources))


def _nothing_to_read(settings: Settings, scope: Scope) -> ExitCode:
    """Tell that this batch has nothing to resume, what else may be meant, and return the exit code."""
    batch, last = printable(scope.batch), last_execution(settings.state, scope)
    code, early = ExitCode.OK, _early_end(last)
    if beyond := _beyond_reach(settings, scope):
        code, words = beyond
        print(words)
    elif early is not None:
        code = ExitCode.STOPPED
        print(
            f"The last run of batch {batch} {early}, and nothing is kept of it: what it had not read yet is read by "
            "the same `ingestor run` command."
        )
    else:
        print(f"Nothing is left to resume of batch {batch} in {printable(str(settings.state))}.")
    for name in _others(settings, scope):
        print(f"Batch {printable(name)} has something to resume: --batch {printable(name)}")
    return code


def _early_end(last: Execution | None) -> str | None:
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
