"""`ingestor check --online` also asks the service about the target and about the experiments of the records.

It sends searches only. They show that the address, the credentials and the workspace are right, and that this
principal may read. Only a create shows that it may create runs.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice

from ingestor.api.options import TargetOptions
from ingestor.api.search import Catalog, Existence
from ingestor.api.service import HttpService
from ingestor.app.check import print_checked, validate
from ingestor.app.options import BatchOptions
from ingestor.app.target import Target
from ingestor.model.errors import ExitCode
from ingestor.model.reply import Reply
from ingestor.model.text import WHOLE, printable
from ingestor.policy.advice import Halt, credentials_halt, unreached_halt, unusable_halt, words
from ingestor.report.progress import Mode
from ingestor.report.text import spell_count

_SHOWN = 20  # experiments in the text; the JSON form has all
_MOST_ASKED = 1000  # experiments that the list lacks and that are asked for one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiments:
    """Which experiments of the records can't take runs, each with the number of its records, most frequent first.

    Attributes:
        missing: those that do not exist.
        deleted: those in the trash.
        unknown: why the service could not list its experiments; None if it could.
    """

    missing: Mapping[str, int] = field(default_factory=dict)
    deleted: Mapping[str, int] = field(default_factory=dict)
    unknown: str | None = None


def check_online(
    target: Target, options: BatchOptions, sources: Sequence[str], *, as_json: bool, progress: Mode
) -> ExitCode:
    """Ask the service, validate the records of `sources`, and ask for their experiments. Print what was found.

    Returns HALTED if the service does not serve this target, INCOMPLETE if records are invalid or can't become runs.
    Raises UsageError and CredentialsError.
    """
    connection = _connection(target, options)
    problem = asyncio.run(_probe(connection, target))
    if problem is not None:
        _print_problem(target, problem, as_json=as_json)
        return ExitCode.HALTED
    checked = validate(options, sources, as_json=as_json, progress=progress)
    found = asyncio.run(_compare(connection, checked.experiments)) if checked.experiments else Experiments()
    print_checked(checked, as_json=as_json, service={"target": target.endpoint.display, **asdict(found)})
    if not as_json:
        print("\n" + "\n".join(_lines(target.endpoint.display, checked.experiments, found)))
    is_incomplete = found.missing or found.deleted or found.unknown
    return ExitCode.INCOMPLETE if is_incomplete and checked.exit_code is ExitCode.OK else checked.exit_code


def _connection(target: Target, options: BatchOptions) -> TargetOptions:
    return TargetOptions(
        endpoint=target.endpoint,
        auth=target.auth,
        connections=1,
        timeout=options.timeout,
        user_principal=target.user_principal,
    )


def _print_problem(target: Target, problem: Halt, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"event": "check.halted", "target": target.endpoint.display, **asdict(problem)}))
    else:
        print(f"{printable(target.endpoint.display, WHOLE)}\n{printable(problem.reason, WHOLE)}\n{problem.advice}")


async def _probe(connection: TargetOptions, target: Target) -> Halt | None:
    """Return what is wrong for every record, by the reply to a probe."""
    async with HttpService(connection) as service:
        reply = await service.probe()
    if reply.status is None:
        return unreached_halt(reply, target.access)
    if reply.status == 401:
        return credentials_halt(reply, target.access)
    return None if reply.status // 100 == 2 else unusable_halt(reply, target.access)


async def _compare(connection: TargetOptions, experiments: Mapping[str, int]) -> Experiments:
    """Ask which experiments exist: for the whole list, and then for each one that is not in it."""
    wanted = sorted(experiments.items(), key=lambda item: (-item[1], item[0]))
    async with HttpService(connection) as service:
        catalog = await service.experiments(_pace)
        listed = catalog if isinstance(catalog, Catalog) else Catalog(frozenset(), frozenset())
        states = {name: Existence.DELETED for name, _ in wanted if name in listed.deleted}
        for name in islice((name for name, _ in wanted if name not in listed.active | listed.deleted), _MOST_ASKED):
            state = await service.has_experiment(name)
            if isinstance(state, Reply):
                return Experiments(unknown=words(state))
            states[name] = state
    return Experiments(
        missing={name: count for name, count in wanted if states.get(name) is Existence.MISSING},
        deleted={name: count for name, count in wanted if states.get(name) is Existence.DELETED},
    )


async def _pace() -> None:
    """Send the next page at once: it is one request after the other, and few of them."""


def _lines(address: str, experiments: Mapping[str, int], found: Experiments) -> Iterator[str]:
    """Say what the service answered, one sentence a line."""
    yield f"{printable(address, WHOLE)} accepts the credentials, and the target exists."
    if found.unknown is not None:
        yield f"Its experiments can't be listed, so they are not checked: {printable(found.unknown, WHOLE)}"
        return
    usable = len(experiments) - len(found.missing) - len(found.deleted)
    yield f"Of {spell_count(len(experiments), 'experiment')} in the records, {usable:,} can take runs."
    yield from _listed("Missing", found.missing)
    yield from _listed("Deleted (restore them, or choose others)", found.deleted)


def _listed(title: str, experiments: Mapping[str, int]) -> Iterator[str]:
    if not experiments:
        return
    yield f"{title}:"
    for name, count in islice(experiments.items(), _SHOWN):
        yield f"  {printable(name)}: {spell_count(count, 'record')}"
    if len(experiments) > _SHOWN:
        yield f"  and {len(experiments) - _SHOWN:,} more: --output json lists them all"
