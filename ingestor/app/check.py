"""`ingestor check`: validates every record and sends nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence

from ingestor.app.options import BatchOptions
from ingestor.app.reading import reserved_paths
from ingestor.model.errors import ExitCode
from ingestor.model.ports import Input
from ingestor.model.record import Job, Reject
from ingestor.model.text import printable
from ingestor.policy.identity import Scope
from ingestor.report.text import spell_count
from ingestor.sources.reader import open_sources


def check(options: BatchOptions, sources: Sequence[str], *, as_json: bool) -> ExitCode:
    """Validate the records of `sources` and print a line for each that is invalid. Raises UsageError."""
    source = open_sources(sources, Scope("", "", options.batch), reserved=reserved_paths(options))
    valid, invalid = asyncio.run(_check(source, as_json=as_json))
    if as_json:
        print(json.dumps({"event": "check.finished", "valid": valid, "invalid": invalid}))
    else:
        print(f"{spell_count(valid + invalid, 'record')}: {valid:,} valid, {invalid:,} invalid")
    return ExitCode.INCOMPLETE if invalid else ExitCode.OK


async def _check(source: Input, *, as_json: bool) -> tuple[int, int]:
    valid = invalid = 0
    async for record in validated(source):
        if isinstance(record, Job):
            valid += 1
        else:
            invalid += 1
            print(_as_json(record) if as_json else _as_text(record))
    return valid, invalid


async def validated(source: Input) -> AsyncIterator[Job | Reject]:
    """Yield every record of a source, one by one."""
    async for chunk in source.chunks():
        for record in chunk.records:
            yield record


def _as_json(reject: Reject) -> str:
    fields = {"event": "record.invalid", "source": reject.origin.source, "line": reject.origin.line}
    return json.dumps(fields | {"reason": reject.reason})


def _as_text(reject: Reject) -> str:
    return f"{printable(reject.origin.source)}:{reject.origin.line}: {printable(reject.reason, 1000)}"
