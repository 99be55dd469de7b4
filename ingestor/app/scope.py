"""Under which identity a batch goes to a target, and whether the state directory is the one that is meant.

A workspace of AIDP is identified by platform and workspace. A tracking server is identified by its first address, which
is in the journal; another address of the same server must be named as such, else every record would become a second
run there.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ingestor.app.options import BatchOptions
from ingestor.app.target import Target
from ingestor.journal.batches import KnownBatch, unknown_batch
from ingestor.journal.reader import batches_of_target, has_journal, known_batches
from ingestor.model.errors import UsageError
from ingestor.model.text import printable
from ingestor.policy.identity import Scope


def scope_of(target: Target, options: BatchOptions) -> Scope:
    """Return what the keys of the batch are unique in.

    Raises UsageError if the batch may have runs on another server, or if there is no journal and none may be begun;
    JournalError if the journal can't be read.
    """
    require_state(options)
    if not target.is_server or not has_journal(options.state):
        return target.scope(options.batch)
    known = [it for it in _servers(options.state) if it.scope.batch == options.batch]
    return _server_scope(target, options, known)


def batches_to_reconcile(target: Target, options: BatchOptions, batch: str | None) -> list[str]:
    """Return the target's batches, or the one that is named.

    Raises UsageError if there is no journal or no such batch, or as `scope_of`.
    """
    require_state(options)
    if not target.is_server:
        known = batches_of_target(options.state, platform=target.platform, workspace=target.workspace)
        return _chosen(known, batch, options)
    servers = _servers(options.state)
    here = [it for it in servers if it.is_at(target.platform)]
    elsewhere = [it for it in servers if it.may_have_runs and it not in here]
    wanted = [*here, *elsewhere] if options.same_server or batch is not None else here or elsewhere
    names = _chosen(list(dict.fromkeys(it.scope.batch for it in wanted)), batch, options)
    for name in names:
        scope_of(target, replace(options, batch=name))
    return names


def require_state(options: BatchOptions) -> None:
    """Raise UsageError if there is no journal and none may be begun."""
    if not options.new_state and not has_journal(options.state):
        raise UsageError(
            f"There is no journal in {absolute(options.state)}, and --no-new-state forbids to begin one. If the "
            "directory is on a volume, the volume is not mounted there: mount it and run the same command again. For "
            "the first run, leave out --no-new-state."
        )


def absolute(state: Path) -> str:
    """Return the absolute path of a state directory, for a message."""
    return printable(str(state.absolute()), 1000)


def other_servers(target: Target, options: BatchOptions, scope: Scope) -> list[str]:
    """Return the other servers that have runs of a batch of this name, each with a memory of its own.

    Ingestors before version 9 of the journal did not ask whether two addresses are one server.
    """
    if not target.is_server or not has_journal(options.state):
        return []
    known = [it for it in _servers(options.state) if it.scope.batch == scope.batch and it.may_have_runs]
    return [it.scope.platform for it in known if it.scope != scope]


def _servers(state: Path) -> list[KnownBatch]:
    return [it for it in known_batches(state) if not it.scope.workspace]


def _chosen(known: list[str], batch: str | None, options: BatchOptions) -> list[str]:
    if batch is not None and batch not in known:
        raise unknown_batch(batch, known, options.state)
    return known if batch is None else [batch]


def _server_scope(target: Target, options: BatchOptions, known: Sequence[KnownBatch]) -> Scope:
    """Return the scope of the batch of this name that is at the server. A batch without any run is at no server yet."""
    address = target.platform
    named = [it for it in known if address in it.addresses]
    used = [it for it in known if it.may_have_runs]
    at_home = [it for it in used if it.scope.platform == address]
    if found := [*named, *at_home]:
        return found[0].scope
    if not used:
        return target.scope(options.batch)
    if not options.same_server:
        raise _another_address(address, options, used)
    if len(used) > 1:
        raise _several_servers(address, options, used)
    return used[0].scope


def _another_address(address: str, options: BatchOptions, used: Sequence[KnownBatch]) -> UsageError:
    batch = printable(options.batch)
    return UsageError(
        f"Batch {batch} in {absolute(options.state)} went to {_listed(used)} before, and the address is {address} now. "
        "If both are the same server, add --same-server: then nothing is sent twice, and both addresses are known "
        f"from then on. If it is another server, give it a batch of its own, such as --batch {batch}-2."
    )


def _several_servers(address: str, options: BatchOptions, used: Sequence[KnownBatch]) -> UsageError:
    batch = printable(options.batch)
    return UsageError(
        f"Batch {batch} in {absolute(options.state)} went to several servers before: {_listed(used)}. --same-server "
        f"does not say which of them {address} is: give the former address instead, or a batch of its own, such as "
        f"--batch {batch}-2."
    )


def _listed(used: Sequence[KnownBatch]) -> str:
    return " and ".join(_named(it) for it in used)


def _named(known: KnownBatch) -> str:
    also = f" (also {', '.join(known.addresses)})" if known.addresses else ""
    return printable(f"{known.scope.platform}{also}", 1000)
