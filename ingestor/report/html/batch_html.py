"""The report of a batch as one HTML file that loads nothing and runs nothing.

Every text that is not written here passes `shown`, except in plots, which escape their own.
"""

import hashlib
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.resources import files

from ingestor.model.account import CountTable, ExecutionRow, FailureGroup
from ingestor.model.history import Point
from ingestor.model.record import Outcome, State
from ingestor.report.batch_report import (
    COLUMNS,
    BatchReport,
    Life,
    ending_of,
    headline,
    listing,
    missing,
    results_command,
    selection_of,
    sentences,
)
from ingestor.report.batch_text import MARK, reason_of, reject_reason
from ingestor.report.errors import ErrorCount
from ingestor.report.execution import done_by, duration_of
from ingestor.report.failure_advice import advice_about
from ingestor.report.history import without_gaps
from ingestor.report.html.charts import plots
from ingestor.report.html.markup import code, facts, heads, marked, section, shown
from ingestor.report.html.plots import figure
from ingestor.report.text import spell_count, spell_duration, spell_moment, spell_rate, spell_source

BEGIN = f"<!doctype html>\n<!-- {MARK} -->\n"
"""The beginning of the file."""

_MOST = 50  # rows of each list
_NAME = 200  # characters of a name
_MOODS: Mapping[str, str] = {
    State.CREATED: "good",
    State.PARTIAL: "warn",
    State.UNRESOLVED: "warn",
    State.PENDING: "warn",
    State.FAILED: "bad",
    Outcome.REJECTED: "bad",
    State.FORGOTTEN: "quiet",
}


def as_html(report: BatchReport) -> str:
    """Return the report."""
    names = ("style.css", "layout.css", "report.css")
    style = "".join(files("ingestor.report.html").joinpath(name).read_text("utf-8") for name in names)
    policy = f"default-src 'none'; style-src 'sha256-{_digest(style)}'; base-uri 'none'; form-action 'none'"
    return (
        f'{BEGIN}<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        '<meta name="referrer" content="no-referrer">'
        f"<title>{shown(report.batch)}: {MARK}</title><style>{style}</style></head>"
        f"<body>{_header(report)}<main>{''.join(_sections(report))}</main>{_footer(report)}</body></html>\n"
    )


def _header(report: BatchReport) -> str:
    mood, word = _mood(report)
    lines = "".join(f"<p>{marked(sentence)}</p>" for sentence in sentences(report))
    return (
        f'<header><div class="top"><h1>{MARK} <span>{shown(report.batch)}</span></h1>'
        f'<p class="state" data-mood="{mood}">{word}</p></div>'
        f'<p class="sentence">{shown(headline(report))}</p>{lines}</header>'
    )


def _mood(report: BatchReport) -> tuple[str, str]:
    if report.life is Life.RUNNING:
        return "quiet", "in progress"
    if report.is_unfinished:
        return "bad" if report.without_run else "warn", "not finished"
    if report.without_run:
        return "bad", "incomplete"
    return ("good", "complete") if report.total and report.life is Life.ENDED else ("warn", "not finished")


def _sections(report: BatchReport) -> Iterator[str]:
    if rows := list(missing(report)):
        items = "".join(
            f'<li data-mood="{_MOODS[it.outcome]}"><h3>{it.count:,} {it.outcome}</h3><p>{shown(it.meaning)}</p>'
            f'<p class="advice">{marked(it.advice)}</p></li>'
            for it in rows
        )
        yield section("missing", "What is missing, and what to do", f'<ul class="failures">{items}</ul>')
    yield f'<div class="pair">{_counts(report)}{_last(report)}</div>'
    yield from _history(report)
    yield from _reasons(report)
    if report.sources.rows:
        yield _table("By source", "source", report, report.sources, "source")
    if report.experiments.rows:
        yield _table("By experiment", "experiment", report, report.experiments, "experiment_id")
    yield _executions(report)
    yield _proof(report)
    yield _settings(report)


def _counts(report: BatchReport) -> str:
    rows = "".join(
        f'<tr data-mood="{_MOODS[name]}"><th scope="row">{name}</th><td>{report.counts[name]:,}</td></tr>'
        for name in COLUMNS
        if name == State.CREATED or report.counts[name]
    )
    total = f'<tfoot><tr><th scope="row">records</th><td>{report.total:,}</td></tr></tfoot>'
    pruned = sum(report.pruned.counts.values())
    notes = [f"{sum(report.jobs.values()):,} of them are lines of <code>ingestor results</code>."]
    notes += [f"{pruned:,} are pruned."] if pruned else []
    head = heads("outcome", "records")
    table = f'<table class="counts"><thead>{head}</thead><tbody>{rows}</tbody>{total}</table>'
    return section("counts", "Records", f'{table}<p class="muted">{" ".join(notes)}</p>')


def _last(report: BatchReport) -> str:
    last = report.last
    known = [("batch", shown(report.batch)), ("runs in", shown(report.target))]
    if last is not None:
        known += _facts_of(last, report.life)
    return section("execution", "The last execution", facts(known))


def _facts_of(last: ExecutionRow, life: Life) -> list[tuple[str, str]]:
    took, done, progress, description = duration_of(last), done_by(last), last.progress, last.description
    found = [("began", spell_moment(last.started_at)), ("end", shown(ending_of(last, life)))]
    if took is not None:
        found.append(("took", spell_duration(took)))
    if took and done is not None:
        found.append(("records with an outcome", f"{done:,}, {spell_rate(done / took)}"))
    if last.already_done:
        found.append(("already done", f"{last.already_done:,}"))
    if progress is not None:
        if progress.situation is not None:
            found.append((f"at {spell_moment(progress.at)}", shown(progress.situation)))
        found.append(("records read", f"{progress.records:,}{'' if progress.exhausted else ', not to the end'}"))
        found.append(("attempts", f"{progress.attempts:,}, 429s {progress.throttled:,}, retries {progress.retries:,}"))
        if progress.latency_p50 is not None and progress.latency_p95 is not None:
            found.append(("latency", f"p50 {progress.latency_p50:,.0f} ms, p95 {progress.latency_p95:,.0f} ms"))
    if description is not None:
        names = ", ".join(shown(spell_source(name), _NAME) for name in description.sources)
        more = f" and {description.other_sources:,} more" if description.other_sources else ""
        found.append(("input", f"{names}{more}"))
    return found


def _history(report: BatchReport) -> Iterator[str]:
    last, every = _plots(report.points, "last"), _plots(report.all_points, "all")
    if last:
        yield section("history", f"{'The last execution' if every else 'History'} <small>times in UTC</small>", last)
    if every:
        yield section("all-history", "All executions <small>times in UTC</small>", every)
    if report.pauses:
        yield section("pauses", "Pauses", _pauses(report))


def _plots(points: Sequence[Point], name: str) -> str:
    if not points:
        return ""
    begin, values = without_gaps(points)
    drawn = (figure(replace(it, key=f"{it.key}-{name}")) for it in plots(points[0].step, begin, values))
    return f'<div class="plots">{"".join(drawn)}</div>'


def _pauses(report: BatchReport) -> str:
    rows = "".join(
        f'<tr><th scope="row">{spell_moment(it.began_at)}</th><td>{spell_duration(it.ended_at - it.began_at)}</td>'
        f'<td class="words">{shown(it.reason)}</td></tr>'
        for it in sorted(report.pauses, key=lambda it: -it.began_at)[:_MOST]
    )
    return (
        f"<table><caption>{_shown_of(len(report.pauses))}</caption><thead>{heads('began', 'took', 'reason')}"
        f"</thead><tbody>{rows}</tbody></table>"
    )


def _reasons(report: BatchReport) -> Iterator[str]:
    items = []
    for group in report.failures.groups[:_MOST]:
        about = ErrorCount(group.count, group.state, group.http_status, group.error_code, group.message)
        items.append(
            f'<li data-mood="{_MOODS[group.state]}"><h3>{group.count:,} {group.state}</h3><p class="data">'
            f'{shown(reason_of(group), 500)}</p><p class="example">{_example(group)}</p>'
            f'<p class="advice">{marked(advice_about(about, selection_of(report)))}</p></li>'
        )
    kinds = sorted(report.rejects.kinds, key=lambda it: -it.count)
    for kind in kinds[:_MOST]:
        places = ", ".join(f"{spell_source(it.source)} line {it.line:,}" for it in kind.examples)
        items.append(
            f'<li data-mood="bad"><h3>{kind.count:,} rejected</h3><p class="data">{shown(reject_reason(kind), 500)}</p>'
            f'<p class="example">for example {shown(places, 1000)}; last at {spell_moment(kind.last_at)}</p></li>'
        )
    others = report.failures.others + report.rejects.others + sum(it.count for it in kinds[_MOST:])
    if items or others:
        more = f'<p class="muted">{others:,} more for other reasons.</p>' if others else ""
        yield section("reasons", "Reasons", f'<ul class="failures">{"".join(items)}</ul>{more}')


def _example(group: FailureGroup) -> str:
    place = f"{shown(spell_source(group.source))}, line {group.line:,}"
    request = "" if group.opc_request_id is None else f", opc-request-id {code(group.opc_request_id)}"
    return f"for example job {code(group.job_id)} ({place}){request}; last at {spell_moment(group.last_at)}"


def _table(title: str, column: str, report: BatchReport, table: CountTable, member: str) -> str:
    spell = spell_source if column == "source" else str
    names = [*(row.counts for row in table.rows), table.other_counts]
    columns = [it for it in COLUMNS if it == State.CREATED or any(counts.get(it) for counts in names)]
    rows = "".join(
        f'<tr><th scope="row">{shown(spell(it.name) or "none", _NAME)}</th>{_numbers(it.counts, columns)}</tr>'
        for it in table.rows
    )
    more = ""
    if table.others:
        rows += f'<tr><th scope="row">and {table.others:,} more</th>{_numbers(table.other_counts, columns)}</tr>'
        more = f"<p>This command lists them all: {marked(f'`{listing(report, member)}`')}</p>"
    head, total = heads(column, *columns, "records"), Counter[str]()
    for counts in names:
        total.update(counts)
    foot = f'<tfoot><tr><th scope="row">total</th>{_numbers(total, columns)}</tr></tfoot>'
    wide = f'<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody>{foot}</table></div>'
    return section(f"by-{column}", title, f"{wide}{more}")


def _executions(report: BatchReport) -> str:
    rows = []
    for number, it in enumerate(report.executions[:_MOST]):
        took, done = duration_of(it), done_by(it)
        time, records = "" if took is None else spell_duration(took), "" if done is None else f"{done:,}"
        end = shown(ending_of(it, report.life if not number else Life.KILLED))
        began = spell_moment(it.started_at)
        rows.append(f'<tr><th scope="row">{began}</th><td>{time}</td><td>{records}</td><td>{end}</td></tr>')
    head = heads("began", "took", "records with an outcome", "end")
    table = f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
    more = f'<p class="muted">Only the last {_MOST} are listed.</p>' if len(report.executions) > _MOST else ""
    return section("executions", "Executions", f"{table}{more}")


def _proof(report: BatchReport) -> str:
    if (digest := report.digest) is None:
        return ""
    note = "" if digest.batches == 1 else f" {digest.batches} batches have this name: the output has all of them."
    if pruned := sum(report.pruned.counts.values()):
        note += f" {pruned:,} pruned rows are not in it."
    now = " The batch is in progress: the next output differs." if report.life is Life.RUNNING else ""
    return section(
        "proof",
        "Proof",
        f"<p>The map from records to runs is the output of {marked(f'`{results_command(report)}`')}. When this report "
        f"was made it had {spell_count(digest.lines, 'line')}, with the SHA-256 digest</p>"
        f'<p><code class="code">{digest.sha256}</code></p><p>This command prints the same as long as the journal is '
        f"the same: {marked(f'`{results_command(report)} | sha256sum`')}{note}{now}</p>",
    )


def _settings(report: BatchReport) -> str:
    description = None if report.last is None else report.last.description
    if description is None:
        return ""
    rows = [(shown(name), shown(value or "not set", 500)) for name, value in description.settings.items()]
    versions = [(shown(name), shown(value)) for name, value in description.versions.items()]
    settings = section("settings", "Settings <small>secrets masked</small>", facts(rows))
    return section("versions", "Versions", facts(versions)) + settings


def _footer(report: BatchReport) -> str:
    return f"<footer><p>Made at {spell_moment(report.made_at)} by ingestor {shown(report.made_by)}.</p></footer>"


def _numbers(counts: Mapping[str, int], columns: Sequence[str]) -> str:
    numbers = [*(counts.get(it, 0) for it in columns), sum(counts.values())]
    return "".join(f"<td>{number:,}</td>" for number in numbers)


def _shown_of(count: int) -> str:
    return f"{count:,}" if count <= _MOST else f"the last {_MOST} of {count:,}"


def _digest(style: str) -> str:
    return b64encode(hashlib.sha256(style.encode()).digest()).decode()
