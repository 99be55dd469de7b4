"""The report of a batch as plain text: sentences, then reasons, then one table whose last line is the total."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ingestor.model.account import FailureGroup
from ingestor.model.history import RejectKind
from ingestor.model.text import printable
from ingestor.report.batch_report import (
    COLUMNS,
    BatchReport,
    Life,
    ending_of,
    headline,
    listing,
    missing,
    results_command,
    sentences,
)
from ingestor.report.execution import duration_of
from ingestor.report.text import spell_count, spell_duration, spell_moment, spell_source

MARK = "ingestor report"
"""The beginning of the first line."""

_MOST = 20  # lines of each list
_NAME = 60  # characters of a name in the table


def as_text(report: BatchReport) -> str:
    """Return the report. Text of records and of the service is made printable."""
    parts = (_head(report), _missing(report), _failures(report), _rejects(report), _executions(report), _proof(report))
    found = ["\n".join(lines) for part in parts if (lines := list(part))]
    return "\n\n".join([*found, "\n".join(_table(report))]) + "\n"


def _head(report: BatchReport) -> Iterator[str]:
    yield f"{MARK}: batch {printable(report.batch)}, at {spell_moment(report.made_at)}"
    yield ""
    yield f"{headline(report)}."
    yield from sentences(report)


def _missing(report: BatchReport) -> Iterator[str]:
    for it in missing(report):
        yield f"{it.count:>11,}  {it.outcome}: {it.meaning} {it.advice}"


def _failures(report: BatchReport) -> Iterator[str]:
    groups = report.failures.groups[:_MOST]
    if groups:
        yield "Failures, by reason"
    for group in groups:
        yield f"{group.count:>11,}  {group.state}: {reason_of(group)}"
        yield f"{'':>11}  {example_of(group)}"
    others = report.failures.others + sum(it.count for it in report.failures.groups[_MOST:])
    if others:
        yield f"{others:>11,}  for other reasons: see `{results_command(report)}`"


def _rejects(report: BatchReport) -> Iterator[str]:
    kinds = sorted(report.rejects.kinds, key=lambda it: -it.count)
    others = report.rejects.others + sum(it.count for it in kinds[_MOST:])
    if kinds or others:
        yield "Rejected records, by reason"
    for kind in kinds[:_MOST]:
        yield f"{kind.count:>11,}  {reject_reason(kind)}"
        if kind.examples:
            first = kind.examples[0]
            yield f"{'':>11}  for example {spell_source(first.source)}, line {first.line:,}"
    if others:
        yield f"{others:>11,}  for other reasons: see the file of rejected records"


def _executions(report: BatchReport) -> Iterator[str]:
    for number, it in enumerate(report.executions[:_MOST]):
        if not number:
            yield "Executions, the last one first"
        took = duration_of(it)
        end = ending_of(it, report.life if not number else Life.KILLED)
        yield f"  {spell_moment(it.started_at)}  {'-' if took is None else spell_duration(took):>12}  {end}"
    if len(report.executions) > _MOST:
        yield f"  and earlier ones: only the last {_MOST} are listed"


def _proof(report: BatchReport) -> Iterator[str]:
    if (digest := report.digest) is not None:
        name = "" if digest.batches == 1 else f" (of all {digest.batches} batches with this name)"
        yield f"SHA-256 of the {spell_count(digest.lines, 'line')} of `ingestor results`{name}: {digest.sha256}"
        yield f"  {results_command(report)} | sha256sum"
        if pruned := sum(report.pruned.counts.values()):
            yield f"  {spell_count(pruned, 'pruned row')} {'is' if pruned == 1 else 'are'} not in it"


def _table(report: BatchReport) -> Iterator[str]:
    """Yield the records by source. Columns in which all numbers are 0 are left out, but for `created`."""
    columns = [name for name in COLUMNS if name == COLUMNS[0] or report.counts[name]]
    rows: list[tuple[str, Mapping[str, int]]]
    rows = [(printable(spell_source(it.name), _NAME), it.counts) for it in report.sources.rows]
    if report.sources.others:
        rows.append((f"{report.sources.others:,} more", report.sources.other_counts))
    if report.pruned.counts:
        rows.append(("pruned", {str(state): count for state, count in report.pruned.counts.items()}))
    total: Counter[str] = Counter()
    for _, counts in rows:
        total.update(counts)
    width = max(len(name) for name, _ in (*rows, ("source", {})))
    if report.sources.others:
        yield f"All sources: {listing(report, 'source')}"
        yield ""
    yield f"{'source':{width}}{''.join(f'{name:>12}' for name in (*columns, 'records'))}"
    for name, counts in rows:
        yield _line(name, counts, columns, width)
    yield _line("total", total, columns, width)


def _line(name: str, counts: Mapping[str, int], columns: Sequence[str], width: int) -> str:
    numbers = [*(counts.get(it, 0) for it in columns), sum(counts.values())]
    return f"{name:{width}}{''.join(f'{number:>12,}' for number in numbers)}"


def reason_of(group: FailureGroup) -> str:
    """Return why jobs of a group have no complete run, in words."""
    label = " ".join(printable(str(part), 60) for part in (group.http_status, group.error_code) if part is not None)
    example = "for example: " if group.varies else ""
    return ": ".join(part for part in (label, example + printable(group.message, 300)) if part)


def example_of(group: FailureGroup) -> str:
    """Return which job is the example of a group, in words."""
    request = "" if group.opc_request_id is None else f", opc-request-id {printable(group.opc_request_id)}"
    place = f"{spell_source(group.source)}, line {group.line:,}"
    return f"for example job {printable(group.job_id)} ({place}){request}; last at {spell_moment(group.last_at)}"


def reject_reason(kind: RejectKind) -> str:
    """Return why records were rejected, in words."""
    return f"{'for example: ' if kind.varies else ''}{printable(kind.reason, 300)}"
