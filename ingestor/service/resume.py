"""`ingestor resume`: what a stopped batch left is finished."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ingestor.journal.leftovers import batches, known_inputs, last_pass, unfinished_sources
from ingestor.journal.reader import Pass
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.source import Source
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
    """Bring in the standard input that was kept, the files whose jobs have no known end, and what is unread.

    Unread is what a run was to read, and no run since has read to its end. What is done stays done; a job whose token
    no longer protects it is not sent (see `reconcile`). Where something is unread that only `run` can read, that is
    told, and the exit code is STOPPED instead of OK.
    Raises IngestorError, also where a file is no longer there.
    """
    scope = scope_of(settings)
    spool = Spool(settings.state, scope)
    files = _files(settings, scope)
    if not files and spool.is_empty:
        return _nothing_to_read(settings, scope)
    paths = _located(list(files))
    reader = Reader(paths, scope, spool, called=files)
    code = bring_in(settings, reader, [files[path] for path in paths] or [STDIN], spool, wrap)
    if code is ExitCode.OK and (lost := _lost(settings, scope)):
        print(f"ingestor: {_told_of_lost(scope, lost)}", file=sys.stderr)
        return ExitCode.STOPPED
    return code


def _files(settings: Settings, scope: Scope) -> dict[str, str]:
    """Return the files to read, first those that something is in doubt of: the source that each was, by its path."""
    known = known_inputs(settings.state, scope)
    paths: dict[str, list[str | None]] = {STDIN: []}
    for it in known:
        paths.setdefault(it.source.name, []).append(it.source.path)
    in_doubt = [
        Source(name, path) for name in unfinished_sources(settings.state, scope) for path in paths.get(name, [name])
    ]
    sources = [*in_doubt, *(it.source for it in known if it.is_unread)]
    return {source.path: source.name for source in sources if source.path is not None and _is_no_pipe(source.path)}


def _is_no_pipe(path: str) -> bool:
    return Path(path).is_file() or not Path(path).exists()


def _located(paths: list[str]) -> list[str]:
    """Return the files, each once. Raises UsageError where one is not there."""
    try:
        return locate(paths) if paths else []
    except UsageError as error:
        raise UsageError(
            f"{error} An earlier run did not finish it: put it back, or an empty file in its place to let it go."
        ) from error


def _lost(settings: Settings, scope: Scope) -> list[str]:
    """Return the names of what is unread and can't be read again."""
    return [it.source.name for it in known_inputs(settings.state, scope) if it.is_unread and it.source.path is None]


def _told_of_lost(scope: Scope, lost: list[str]) -> str:
    names = printable(", ".join("standard input" if name == STDIN else name for name in lost))
    return (
        f"A run of batch {printable(scope.batch)} did not come to the end of {names}, and nothing is kept of the rest: "
        "the same `ingestor run` command reads on."
    )


def _nothing_to_read(settings: Settings, scope: Scope) -> ExitCode:
    """Tell that this batch has nothing to resume, what else may be meant, and return the exit code."""
    batch, last = printable(scope.batch), last_pass(settings.state, scope)
    lost, early = _lost(settings, scope), _early_end(last)
    if lost:
        print(_told_of_lost(scope, lost))
    elif early is not None:
        print(
            f"The last run of batch {batch} {early}, and nothing is kept of it: what it had not read yet is read by "
            "the same `ingestor run` command."
        )
    else:
        print(f"Nothing is left to resume of batch {batch} in {printable(str(settings.state))}.")
    for name in _others(settings, scope):
        print(f"Batch {printable(name)} has something to resume: --batch {printable(name)}")
    return ExitCode.STOPPED if lost or early is not None else ExitCode.OK


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
