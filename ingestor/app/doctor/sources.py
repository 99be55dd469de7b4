"""The sources: how many, how large, and what the first records are like. Pipes and standard input are left alone."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ingestor.app.doctor.finding import Finding, ok, problem, warning
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.reading import reserved_paths
from ingestor.model.errors import ExitCode, IngestorError, UsageError
from ingestor.model.record import Job, Reject
from ingestor.model.sources import Source
from ingestor.model.text import WHOLE, printable
from ingestor.policy.identity import Scope
from ingestor.report.text import spell_count, spell_size
from ingestor.sources.locate import Located, locate
from ingestor.sources.reader import read_sources

LOOKED_AT = 1000
"""Records that are looked at."""


def sources(subject: Subject, facts: Facts) -> Sequence[Finding]:
    """Report what the SOURCE arguments mean, and which of the first records would be rejected."""
    if not subject.sources:
        return [ok("none are named; name those of your run to check them")]
    unreadable: dict[str, IngestorError] = {}
    parts = list(filter(None, [_located(it, subject, unreadable) for it in subject.sources]))
    inputs = list({it.name: it for part in parts for it in part.sources}.values())
    found = [
        *_of_unreadable(unreadable, follows=subject.follows),
        *(_empty(name) for part in parts for name in part.empty),
    ]
    files = [it for it in inputs if it.path is not None]
    if not files:
        return found or [ok(f"{spell_count(len(inputs), 'source')}: no regular file, so nothing is read here")]
    looked, rejects = asyncio.run(_first_records(files, subject, facts))
    return [*found, *_of_records(_size_words(inputs, parts), looked, rejects)]


def _located(source: str, subject: Subject, unreadable: dict[str, IngestorError]) -> Located | None:
    """Return what one SOURCE means; None, and a new member of `unreadable`, if it means nothing."""
    try:
        return locate([source], reserved_paths(subject.options), unreadable=unreadable)
    except UsageError as error:
        unreadable[source] = error
        return None


async def _first_records(files: Sequence[Source], subject: Subject, facts: Facts) -> tuple[int, list[Reject]]:
    """Read the first records; return how many there were, and those that would be rejected."""
    reader = read_sources(files, Scope("", "", subject.options.batch))
    looked, rejects = 0, list[Reject]()
    async for chunk in reader.chunks():
        records = chunk.records[: LOOKED_AT - looked]
        looked += len(records)
        rejects += [it for it in records if isinstance(it, Reject)]
        facts.experiments.update(it.experiment_id for it in records if isinstance(it, Job) and it.experiment_id)
        if looked >= LOOKED_AT:
            reader.stop()
    return looked, rejects


def _size_words(inputs: Sequence[Source], parts: Sequence[Located]) -> str:
    size = sum(Path(it.path).stat().st_size for it in inputs if it.path is not None)
    skipped = sum(it.skipped.count for it in parts)
    also = f", {spell_count(skipped, 'file')} skipped" if skipped else ""
    return f"{spell_count(len(inputs), 'source')}, {spell_size(size)}{also}"


def _of_unreadable(unreadable: Mapping[str, IngestorError], *, follows: bool) -> Iterator[Finding]:
    if unreadable:
        first, others = next(iter(unreadable.values())), len(unreadable) - 1
        also = f" {spell_count(others, 'other source')} can't be read either." if others else ""
        if follows:
            yield warning(f"{first}{also}", why="A run that follows waits until it can be read.")
        else:
            yield problem(f"{first}{also}", exit_code=ExitCode.USAGE)


def _of_records(words: str, looked: int, rejects: Sequence[Reject]) -> Sequence[Finding]:
    if not looked:
        return [warning(f"{words}, and no record", why="A run of an empty input does nothing, with exit code 0.")]
    words += "; the only record looked at" if looked == 1 else f"; the first {looked:,} records looked at"
    if not rejects:
        return [ok(f"{words}: {'it is' if looked == 1 else 'all are'} valid")]
    first = rejects[0]
    example = f"{printable(first.origin.source, WHOLE)}:{first.origin.line}: {printable(first.reason, 400)}"
    if len(rejects) == looked:
        return [
            problem(f"{words}: {'it is not' if looked == 1 else 'none is'} valid. {example}", exit_code=ExitCode.USAGE)
        ]
    return [
        warning(
            f"{words}: {len(rejects):,} would be rejected. The first is {example}",
            advice="`ingestor check` lists all; a run stores them in rejects.jsonl and sends the others.",
        )
    ]


def _empty(source: str) -> Finding:
    return warning(f"{printable(source, WHOLE)} has no record files.", advice="Check its name.")
