"""`ingestor report`: a document of a batch from the journal alone, whose totals are those of `ingestor results`."""

import base64
import hashlib
import re
import shlex
import sqlite3
import stat
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ingestor.journal.database import open_owned
from ingestor.model.sources import STDIN
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import COMMAND, Program, aim
from tests.journal.big import add_rows
from tests.support.records import SCOPE

BAD = b'{"job_id": "bad", "nonsense": 1}\n{"job_id": \n'
HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e'\"&"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"404"}))) as simulator:
        yield simulator


class Page(HTMLParser):
    """The elements, attributes, text and table rows of a report."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.rows: list[list[str]] = []
        self.source = text
        self.text = ""
        self.style = ""
        self._inside: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        self._inside.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"} and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        while self._inside and self._inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._inside:
            self.style += data
        else:
            self.text += data
        if ("td" in self._inside or "th" in self._inside) and self.rows:
            self.rows[-1][-1] += data

    def row(self, *beginning: str) -> list[str]:
        """Return the only row that begins with these cells."""
        (found,) = [row for row in self.rows if tuple(row[: len(beginning)]) == beginning]
        return found


def page(program: Program, name: str = "report.html") -> Page:
    return Page((program.folder / name).read_text())


def printed_by_bash(program: Program, words: str) -> str:
    """Return what bash prints for a command line, the name of the program left out."""
    return output_of_bash(program, f"{shlex.join(COMMAND)} {words}").decode()


def output_of_bash(program: Program, line: str) -> bytes:
    return subprocess.run(["bash", "-c", line], check=True, cwd=program.folder, stdout=subprocess.PIPE).stdout


async def first_run(program: Program, simulator: Simulator) -> None:
    """A batch with eight runs of two files, two failed and two rejected records."""
    given = [record | {"experiment_id": "404"} if number < 2 else record for number, record in enumerate(records(10))]
    program.write("a.jsonl", given[:6])
    program.write("b.jsonl", given[6:])
    with (program.folder / "b.jsonl").open("ab") as file:
        file.write(BAD)
    assert (await program.ingest(*aim(simulator), "a.jsonl", "b.jsonl")).code == 3


async def test_the_totals_are_those_of_results(program: Program, simulator: Simulator) -> None:
    await first_run(program, simulator)
    ended = await program.run("report")
    assert (ended.code, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("ingestor report: batch default, at 2")
    assert lines[2:5] == [
        "4 of 12 records have no run.",
        "12 records came in, from 2 sources.",
        f"8 runs exist in {PLATFORM_ID} {WORKSPACE_KEY}.",
    ]
    heads = re.split(r"\s{2,}", lines[-4].strip())
    total = dict(zip(heads[1:], map(int, lines[-1].split()[1:]), strict=True))
    assert lines[-1].split()[0] == "total"
    outcomes = Counter(row["outcome"] for row in program.rows())
    assert total == {**outcomes, "rejected": 2, "records": 12}
    by_source = {line.split()[0]: line.split()[1:] for line in lines[-3:-1]}
    assert by_source == {"a.jsonl": ["4", "2", "0", "6"], "b.jsonl": ["4", "0", "2", "6"]}


async def test_the_digest_is_that_of_the_command_that_the_report_names(program: Program, simulator: Simulator) -> None:
    await first_run(program, simulator)
    text = (await program.run("report", "--to", "r.txt")).stdout + (program.folder / "r.txt").read_text()
    found = re.search(r"of the (\d+) lines of `ingestor results`: ([0-9a-f]{64})\n  ingestor (.*) \| sha256sum\n", text)
    assert found is not None
    lines, digest, command = found.groups()
    printed = await program.run(*command.split())
    assert len(printed.stdout.splitlines()) == int(lines) == 10
    assert hashlib.sha256(printed.stdout.encode()).hexdigest() == digest


async def test_the_page_says_what_is_missing_why_and_what_to_do(program: Program, simulator: Simulator) -> None:
    await first_run(program, simulator)
    ended = await program.run("report", "--to", "report.html")
    assert (ended.code, ended.stdout) == (0, "report.html is written.\n")
    assert stat.S_IMODE((program.folder / "report.html").stat().st_mode) == 0o600
    shown = page(program)
    assert "4 of 12 records have no run" in shown.text
    assert "There is no experiment 404, or you may not use it." in shown.text
    assert "nonsense" in shown.text
    assert "ingestor forget --outcome failed --batch default" in shown.text
    (failed,) = [row for row in program.rows("failed") if row["opc_request_id"] in shown.text]
    assert failed["job_id"] in shown.text
    assert shown.row("a.jsonl") == ["a.jsonl", "4", "2", "0", "6"]
    assert shown.row("b.jsonl") == ["b.jsonl", "4", "0", "2", "6"]
    assert shown.row("404")[:3] == ["404", "0", "2"]
    assert "exit code 3" in shown.text
    assert shown.tags["svg"] >= 4
    assert shown.tags["title"] > 4, "each plot has a name for screen readers"


async def test_the_page_loads_and_runs_nothing_and_shows_hostile_text_as_text(program: Program) -> None:
    hostile = [{"job_id": HOSTILE + str(it), "experiment_id": HOSTILE, "run_name": "r"} for it in range(3)]
    program.write("a.jsonl", [*hostile, {"job_id": "b", HOSTILE: 1}])
    name = "<img src=x onerror=alert(1)>.jsonl"
    (program.folder / "a.jsonl").rename(program.folder / name)
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({HOSTILE}))) as simulator:
        assert (await program.ingest(*aim(simulator), name)).code == 3
    assert (await program.run("report", "--to", "report.html")).code == 0
    shown = page(program)
    assert set(shown.tags) <= {
        *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section", "div", "span", "ul"),
        *("h1", "h2", "h3", "p", "li", "table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption", "small"),
        *("dl", "dt", "dd", "code", "figure", "figcaption", "details", "summary"),
        *("svg", "g", "rect", "line", "path", "text", "tspan", "desc", "circle"),
    }
    assert not [it for it in shown.attributes if it[0].startswith("on") or it[0] in {"style", "src", "href"}]
    assert name in shown.text
    assert "\\x1b[31m\\u202e" in shown.text
    assert "\x1b" not in shown.text
    assert "\u202e" not in shown.text
    (policy,) = [value for key, value in shown.attributes if key == "content" and "default-src" in (value or "")]
    digest = hashlib.sha256(shown.style.encode()).digest()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{base64.b64encode(digest).decode()}'; base-uri 'none'; "
        "form-action 'none'"
    )
    text = (await program.run("report")).stdout
    assert "\x1b" not in text
    assert "\u202e" not in text


async def test_a_killed_batch_and_one_that_runs_are_reported_as_far_as_they_are(program: Program) -> None:
    given = list(records(300))
    async with Simulator() as simulator:
        program.write("runs.jsonl", [*given, {"nonsense": 1}])
        running = await program.start("run", *aim(simulator), "--rate", "60", "runs.jsonl")
        await running.until(lambda: simulator.statistics.run_count >= 20)
        during = await program.run("report")
        await running.die()
    assert during.code == 0
    assert "In progress: " in during.stdout
    after = await program.run("report")
    assert "Killed before its end: " in after.stdout
    rows = Counter(row["outcome"] for row in program.rows())
    assert rows["created"] >= 1
    assert rows["pending"] >= 1
    assert f"{rows['created']:,} runs of " in after.stdout
    assert f"{rows['pending']:>11,}  pending: They were being sent" in after.stdout
    assert after.stdout.splitlines()[-1].split()[1] == str(rows["created"])


@pytest.mark.parametrize("code", [0, 75])
async def test_a_batch_that_stopped_early_is_not_finished_until_the_rest_is_done(
    program: Program, simulator: Simulator, code: int
) -> None:
    program.write("runs.jsonl", list(records(300)))
    budget = ("--rate", "40", "--time-budget", "1", "--budget-exit", str(code))
    assert (await program.ingest(*aim(simulator), *budget, "runs.jsonl")).code == code
    assert (await program.run("report", "--to", "report.html")).code == 0
    text, shown = (await program.run("report")).stdout, page(program)
    found = re.search(r"Not finished: [\d,]+ records are left.*; (\d+) runs of \d+ records so far", text)
    assert found is not None
    assert int(found[1]) == program.counts()["created"] < 300
    assert found[0] in shown.text
    assert "Run the same command again, or `ingestor resume --batch default` with the same settings" in text
    assert "Run the same command again, or ingestor resume --batch default with the same settings" in shown.text
    assert ">not finished</p>" in shown.source
    assert "Every record is a run" not in text + shown.text
    assert (await program.ingest(*aim(simulator), "runs.jsonl")).code == 0
    await program.run("report", "--to", "report.html")
    assert "Every record is a run: 300 runs" in page(program).text
    assert ">complete</p>" in page(program).source


async def test_the_history_of_earlier_executions_is_in_the_report_of_a_later_one(
    program: Program, simulator: Simulator
) -> None:
    await first_run(program, simulator)
    assert (await program.ingest(*aim(simulator), "a.jsonl")).code == 3
    await program.run("report", "--to", "report.html")
    shown = page(program)
    assert "All executions" in shown.text
    assert [row[-1] for row in shown.rows if len(row) == 4 and row[0].startswith("20")] == ["exit code 3"] * 2
    assert "2 of 10 records have no run" in shown.text, "the second execution read no rejected record"


async def test_no_secret_is_in_a_report(program: Program) -> None:
    program.write("a.jsonl", list(records(2)))
    env = {"INGESTOR_BEARER_TOKEN": "a-secret-token"}
    async with Simulator() as simulator:
        words = ("run", *aim(simulator)[:-2], "--auth", "bearer", "a.jsonl")
        assert (await program.run(*words, env=env)).code == 0
    await program.run("report", "--to", "report.html")
    assert "a-secret-token" not in (program.folder / "report.html").read_text()
    assert "a-secret-token" not in (program.folder / ".ingestor" / "journal.db").read_bytes().decode("latin-1")
    assert "********" in page(program).text


async def test_a_report_of_a_batch_of_any_size_is_a_file_of_bounded_size(program: Program) -> None:
    """Every record has a source, a key and a reason of its own, and all of them are long."""
    state = program.folder / ".ingestor"
    state.mkdir()
    add_rows(state, 5000, job_state="failed", source=f"{'<' * 900}-%d", sources=5000)
    message = f"printf('%s {'&' * 500} %d', char(65 + id % 26), id)"
    with closing(open_owned(state / "journal.db")) as connection:
        connection.execute(f"UPDATE job SET error_message = {message}, experiment_id = source")  # noqa: S608 - a constant
    assert (await program.run("report", "--to", "report.html")).code == 0
    assert (program.folder / "report.html").stat().st_size < 1_000_000
    shown = page(program)
    assert "and 4,950 more" in shown.text
    assert "jq -r .source | sort | uniq -c" in shown.text
    text = (await program.run("report")).stdout
    assert text.splitlines()[-1].split() == ["total", "0", "5,000", "5,000"]
    assert len(text) < 200_000


@pytest.mark.parametrize("form", ["html", "text"])
async def test_an_older_report_is_replaced_and_any_other_file_is_left_alone(
    program: Program, simulator: Simulator, form: str
) -> None:
    await first_run(program, simulator)
    for _ in range(2):
        assert (await program.run("report", "--format", form, "--to", "r")).code == 0
    (program.folder / "notes").write_text("my notes")
    (program.folder / "link").symlink_to("r")
    (program.folder / "folder").mkdir()
    refusals = {
        "notes": "exists, and is not a report",
        "link": "is a symbolic link",
        "folder": "is a directory",
        "no/such": "is in a directory that does not exist",
        ".ingestor/journal.db": "exists, and is not a report",
    }
    for name, words in refusals.items():
        ended = await program.run("report", "--format", form, "--to", name)
        assert (ended.code, ended.stdout) == (2, "")
        assert f"--to: {name} {words}" in ended.stderr
    assert (program.folder / "notes").read_text() == "my notes"
    assert list(program.folder.glob(".r*")) == []


async def test_the_form_is_that_of_the_name_unless_it_is_given(program: Program, simulator: Simulator) -> None:
    await first_run(program, simulator)
    for words, begin in {
        (): "ingestor report",
        ("--format", "html"): "<!doctype html>",
        ("--to", "-"): "ingestor report",
    }.items():
        assert (await program.run("report", *words)).stdout.startswith(begin)
    for name, words, begin in (
        ("a.HTML", (), "<!doctype html>"),
        ("a.txt", (), "ingestor report"),
        ("b.html", ("--format", "text"), "ingestor report"),
    ):
        await program.run("report", "--to", name, *words)
        assert (program.folder / name).read_text().startswith(begin)


async def test_a_device_is_written_to_and_a_full_one_is_named(program: Program, simulator: Simulator) -> None:
    await first_run(program, simulator)
    (program.folder / "full").symlink_to("/dev/full")
    ended = await program.run("report", "--to", "full")
    assert (ended.code, "The report full can't be written: No space left on device" in ended.stderr) == (4, True)
    assert (await program.run("report", "--to", "/dev/null")).code == 0
    assert (await program.spawn("report", "--to", "/dev/stdout")).stdout.startswith("ingestor report")


async def test_a_report_needs_a_journal_and_one_batch(program: Program, simulator: Simulator) -> None:
    ended = await program.run("report")
    assert (ended.code, "There is no journal in .ingestor yet" in ended.stderr) == (2, True)
    program.write("a.jsonl", list(records(2)))
    await program.ingest(*aim(simulator), "a.jsonl")
    await program.ingest(*aim(simulator), "--batch", "other", "a.jsonl")
    ended = await program.run("report")
    assert (ended.code, "Name the batch with --batch" in ended.stderr) == (2, True)
    ended = await program.run("report", "--batch", "other")
    assert (ended.code, "batch other" in ended.stdout.splitlines()[0]) == (0, True)
    assert "results --batch other --format jsonl | sha256sum" in ended.stdout


async def test_of_batches_with_one_name_each_has_its_own_report_and_the_digest_is_that_of_both(
    program: Program,
) -> None:
    state = program.folder / ".ingestor"
    state.mkdir()
    add_rows(state, 3)
    add_rows(state, 4, scope=replace(SCOPE, workspace="other"))
    ended = await program.run("report")
    assert (ended.code, "say which with --platform-id and --workspace" in ended.stderr) == (2, True)
    ended = await program.run("report", "--workspace", "other")
    printed = (await program.run("results", "--batch", "default", "--format", "jsonl")).stdout
    digest = hashlib.sha256(printed.encode()).hexdigest()
    assert f"of the 7 lines of `ingestor results` (of all 2 batches with this name): {digest}" in ended.stdout
    assert ended.stdout.splitlines()[-1].split() == ["total", "4", "4"]


async def test_the_command_names_a_state_directory_with_a_strange_name(program: Program, simulator: Simulator) -> None:
    program.write("a.jsonl", list(records(2)))
    await program.ingest(*aim(simulator), "--state", "a b", "a.jsonl")
    ended = await program.run("report", "--state", "a b")
    assert "results --batch default --state 'a b' --format jsonl | sha256sum" in ended.stdout


@pytest.mark.parametrize(("batch", "state"), [("a`b", "a`b"), ("--format", "-s"), ("it's", "a\nb"), ("$x", "\u202ea")])
async def test_the_command_works_as_printed_whatever_the_names_are(
    program: Program, simulator: Simulator, batch: str, state: str
) -> None:
    program.write("a.jsonl", [*records(2), {"run_name": "r", "experiment_id": STDIN}])
    await program.ingest(*aim(simulator), f"--batch={batch}", f"--state={state}", "a.jsonl")
    shown = (await program.run("report", f"--state={state}")).stdout
    assert (await program.run("report", f"--state={state}", "--to", "report.html")).code == 0
    assert f">{STDIN}</th>" in page(program).source, "an experiment is no source"
    for text, end in ((shown, "\n"), (unescape(page(program).source), "</code>")):
        (command,) = [it for it in text.split(end) if it.endswith(" | sha256sum")]
        assert printed_by_bash(program, command[command.rindex("results --batch") :]).split()[0] in text


async def test_html_on_standard_output_says_the_same_in_any_encoding(program: Program, simulator: Simulator) -> None:
    program.write("\u00e9\u65e5.jsonl", list(records(2)))
    await program.ingest(*aim(simulator), "\u00e9\u65e5.jsonl")
    line = f"PYTHONIOENCODING=latin-1 {shlex.join(COMMAND)} report --format html"
    shown = Page(output_of_bash(program, line).decode("utf-8"))
    assert shown.row("\u00e9\u65e5.jsonl") == ["\u00e9\u65e5.jsonl", "2", "2"]
    digest = base64.b64encode(hashlib.sha256(shown.style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in shown.source


async def test_rejected_records_that_an_earlier_version_counted_are_in_the_totals(program: Program) -> None:
    state = program.folder / ".ingestor"
    state.mkdir()
    dump = Path(__file__).parents[1] / "journal" / "data" / "v9.sql"
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        connection.executescript(dump.read_text())
        connection.execute("DELETE FROM execution WHERE id = 4")  # the one that was killed
        connection.commit()
    read = (await program.run("report", "--batch", "default")).stdout
    assert "1  rejected: They are not valid" in read
    open_owned(state / "journal.db").close()
    migrated = (await program.run("report", "--batch", "default", "--format", "html")).stdout
    assert "25 records came in" in read
    assert "25 records came in" in migrated


async def test_a_journal_of_an_earlier_version_has_a_report_too(program: Program) -> None:
    state = program.folder / ".ingestor"
    state.mkdir()
    dump = Path(__file__).parents[1] / "journal" / "data" / "v8.sql"
    with closing(sqlite3.connect(state / "journal.db")) as connection:
        connection.executescript(dump.read_text())
    before = (state / "journal.db").read_bytes()
    assert (await program.run("report", "--batch", "default", "--to", "report.html")).code == 0
    assert "Killed before its end: 8 runs of 32 records so far" in page(program).text
    assert (state / "journal.db").read_bytes() == before
