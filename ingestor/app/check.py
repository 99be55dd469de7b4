"""`ingestor check`: every record is validated, nothing is sent."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence

from ingestor.app.parts import reserved_paths_of, scope_of
from ingestor.model.errors import ExitCode
from ingestor.model.record import Job, Reject
from ingestor.report.text import printable, spell_count
from ingestor.settings.options import Settings
from ingestor.settings.values import Output
from ingestor.sources.reader import open_sources


def check(settings: Settings, sources: Sequence[str]) -> ExitCode:
    """Validate the records of `sources` and print what is wrong, a line for each. Raises UsageError."""
    counts = asyncio.run(_check(settings, sources))
    valid, invalid = counts["valid"], counts["invalid"]
    if settings.output is Output.JSON:
        print(json.dumps({"event": "check.finished", "valid": valid, "invalid": invalid}))
    else:
        print(f"{spell_count(valid + invalid, 'record')}: {valid:,} valid, {invalid:,} invalid")
    return ExitCode.INCOMPLETE if invalid else ExitCode.OK


async def _check(settings: Settings, sources: Sequence[str]) -> Counter[str]:
    counts = Counter[str]()
    source = open_sources(sources, scope_of(settings), outputs=reserved_paths_of(settings))
    async for batch in source.batches():
        for record in batch:
            counts["valid" if isinstance(record, Job) else "invalid"] += 1
            if isinstance(record, Reject):
                print(_told(record, settings.output))
    return counts


def _told(reject: Reject, output: Output) -> str:
    if output is Output.JSON:
        fields = {"event": "record.invalid", "source": reject.origin.source, "line": reject.origin.line}
        return json.dumps(fields | {"reason": reject.reason})
    return f"{printable(reject.origin.source)}:{reject.origin.line}: {printable(reject.reason, 1000)}"
