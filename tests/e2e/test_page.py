"""The page of `--listen` in a real browser, served by the real program: what its reader sees, hears and can do."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ingestor.server.status import Status
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Program, Running, aim, to_lines
from tests.server.status_example import STATUS
from tests.server.test_monitor import Batch, serving
from tests.support.browser import PHONE, Browser, Tab, chromium

TOKEN = "a-token-that-nobody-guesses"
EVIL = "<img src=x onerror=alert(1)>\u202egnp.exe\u0007"

FLAWS = """(() => {
    const mains = document.querySelectorAll("main");
    const all = (selector) => [...document.querySelectorAll(selector)].filter((it) => !it.closest("[hidden]"));
    const ids = all("[id]").map((it) => it.id);
    const named = (it) => it.textContent.trim() || it.getAttribute("aria-label");
    const levels = all("h1, h2, h3").map((it) => Number(it.tagName[1]));
    return [
        ...(document.documentElement.lang ? [] : ["no language"]),
        ...(document.title ? [] : ["no title"]),
        ...(mains.length === 1 && all("h1").length === 1 ? [] : ["not one main and one h1"]),
        ...ids.filter((id, at) => ids.indexOf(id) !== at).map((id) => "twice: " + id),
        ...all("input").filter((it) => !it.labels.length).map((it) => "no label: " + it.outerHTML),
        ...all("button").filter((it) => !named(it)).map((it) => "no name: " + it.outerHTML),
        ...all("section, svg[role=img]").filter((it) => !(it.getAttribute("aria-labelledby") ?? "").split(" ")
            .every((id) => document.getElementById(id)?.textContent)).map((it) => "not labelled: " + it.outerHTML),
        ...all("th").filter((it) => !it.scope).map((it) => "no scope: " + it.outerHTML),
        ...all("table").filter((it) => !it.querySelector("thead th")).map((it) => "no head: " + it.outerHTML),
        ...levels.filter((level, at) => at && level > levels[at - 1] + 1).map((level) => "skipped to h" + level),
        ...all("header, section").filter((it) => it.scrollWidth > it.clientWidth).map((it) => "cut: " + it.innerText),
        ...(document.documentElement.scrollWidth > innerWidth ? ["it scrolls sideways"] : []),
    ];
})()"""
"""What is wrong with a page for who can't see it, or has a small telephone: an expression."""


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with chromium(tmp_path / "browser") as browser:
        yield browser


@asynccontextmanager
async def opened(browser: Browser, running: Running, *, dark: bool = False) -> AsyncIterator[Tab]:
    """Open the page of a program on a telephone; at the end, it must have had no error and loaded nothing else."""
    found = re.search(r"http://\S+/", await running.until_it_prints("listening on"))
    assert found is not None
    async with browser.tab(found[0], PHONE, dark=dark) as tab:
        await tab.until("document.getElementById('sentence')")
        yield tab
        assert {it for it in tab.requests if not it.startswith((found[0], "data:"))} == set()
        assert tab.complaints == []


async def table(tab: Tab, identity: str) -> dict[str, list[str]]:
    """Return the rows of a table by the first word of their head."""
    rows = await tab.evaluate(
        f"[...document.getElementById('{identity}').rows].map((row) => [...row.cells].map((it) => it.textContent))"
    )
    return {head.split(" ")[0]: cells for head, *cells in rows}


def hostile_records() -> list[Document]:
    """Return records of which the check refuses one, and of which the service answers one with an error."""
    good = list(records(300))
    return [*good, {"job_id": 7, "tags": []}, {"job_id": EVIL + 200 * "W", "experiment_id": "9", "run_name": EVIL}]


async def test_who_opens_the_page_sees_a_batch_to_its_end_and_after_it(program: Program, browser: Browser) -> None:
    options = SimulatorOptions(poison=frozenset({EVIL}))
    async with Simulator(options) as simulator:
        words = (*aim(simulator), "--rate", "120", "--max-attempts", "1", "--batch", f"nightly {EVIL[:20]}")
        running = await program.start("run", *words, "--listen", "127.0.0.1:0", "-")
        async with opened(browser, running) as tab:
            await tab.until("document.getElementById('main').hidden === false")
            await running.write(to_lines(hostile_records()))
            await tab.until("document.querySelector('[aria-live=polite]').textContent.startsWith('sending')")
            assert re.match(r"(Sending [\d.,]+/s|Waiting for records)", await tab.text("#sentence"))
            await tab.until("document.querySelectorAll('#plots figure').length === 4")
            assert await tab.evaluate(FLAWS) == []

            await tab.until("document.getElementById('read').textContent === '302'")
            assert (await running.end(b"")).code == 3
            await tab.until("document.getElementById('state').textContent === 'finished, exit 3'")
            counts = {name: int(cells[0].replace(",", "")) for name, cells in (await table(tab, "counts")).items()}
            assert counts == {"created": 300, "unresolved": 1, "rejected": 1, "failed": 0, "left": 0}
            assert await tab.text("#read") == "302"
            assert await tab.text(".share") == "302 records done"
            assert (await tab.text("#sentence")).startswith("Finished with exit code 3")
            assert "Exit code 3" in await tab.text("#end")
            assert "Held open" not in await tab.text("#now")
            failures = await tab.text("#failures")
            assert r"<img src=x onerror=alert(1)>\u202egnp.exe\x07" in failures
            assert await tab.evaluate("document.querySelectorAll('main img, main script').length") == 0
            assert await tab.evaluate("document.querySelectorAll('#requests path').length") >= 2
            assert await tab.evaluate(FLAWS) == []
            asked = len(tab.requests)
            await tab.evaluate("(waking(), pollPlots(), new Promise((resolve) => setTimeout(resolve)))")
            assert len(tab.requests) == asked, "a process that has ended is asked for nothing"


async def test_a_job_is_found_and_its_run_id_copied(program: Program, browser: Browser) -> None:
    async with Simulator() as simulator:
        words = ("run", *aim(simulator), "--listen", "127.0.0.1:0")
        running = await program.start(*words, "-")
        async with opened(browser, running, dark=True) as tab:
            await tab.until("document.getElementById('main').hidden === false")
            assert await tab.text("#percent") == "0", "an empty batch has a page too"
            assert await tab.evaluate(FLAWS) == []

            await running.write(b'{"job_id": "j <1>", "experiment_id": "1"}\n')
            await tab.until("document.getElementById('read').textContent === '1'")
            await running.until(lambda: simulator.statistics.run_count == 1)
            found = "document.getElementById('found').textContent"
            await look_up(tab, "missing")
            await tab.until(f"{found}.includes('No record with the job id missing')")
            tab.complaints.clear()  # of the browser: the answer was 404
            await tab.until("document.getElementById('counts').rows[0].cells[1].textContent === '1'")
            await look_up(tab, "j <1>")
            await tab.until(f"{found}.includes('created')")
            await tab.call("Page.bringToFront")
            await browser.call(
                "Browser.grantPermissions", permissions=["clipboardReadWrite"], browserContextId=tab.context
            )
            await tab.evaluate("document.querySelector('#found button.copy').click()")
            await tab.until("document.querySelector('#found button.copy').textContent === 'Copied'")
            (run,) = program.rows()
            assert await tab.evaluate("navigator.clipboard.readText()") == run["run_id"]
        await running.end(b"")


async def look_up(tab: Tab, job: str) -> None:
    await tab.evaluate(f"document.getElementById('job').value = '{job}'")
    await tab.evaluate("document.querySelector('#look-up button').click()")


class Huge(Batch):
    """A batch of fifty million records, whose texts are as long and as hostile as they can be."""

    def status(self, since: float | None) -> Status:
        text = (EVIL + "W" * 300)[:300]
        counts = replace(STATUS.counts, read=50_000_000, created=49_999_960)
        failures = [replace(it, reason=text, job_id=text, source=text, request_id=text) for it in STATUS.failures]
        return replace(
            super().status(since),
            sentence=text,
            batch=text,
            target=text,
            counts=counts,
            progress=replace(STATUS.progress, total=50_000_000),
            failures=failures,
            files=[replace(it, name=text) for it in STATUS.files],
            lag=replace(STATUS.lag, held_files=3, held_bytes=4096),
        )


async def test_fifty_million_records_and_the_longest_texts_fit_a_telephone(browser: Browser) -> None:
    async with serving(Huge()) as url, browser.tab(url, PHONE) as tab:
        await tab.until("document.getElementById('main')?.hidden === false")
        assert await tab.evaluate(FLAWS) == []
        assert await tab.text("#read") == "50,000,000"
        counts = {name: int(cells[0].replace(",", "")) for name, cells in (await table(tab, "counts")).items()}
        assert sum(counts.values()) == 50_000_000
        assert "3 deleted or renamed files, 4.1 kB" in await tab.text("#now")
        assert await tab.evaluate("document.querySelectorAll('main img').length") == 0
        assert tab.complaints == []


async def test_a_program_that_was_killed_leaves_a_page_that_says_since_when(program: Program, browser: Browser) -> None:
    async with Simulator() as simulator:
        running = await program.start("run", *aim(simulator), "--listen", "127.0.0.1:0", "-")
        async with opened(browser, running) as tab:
            await tab.until("document.getElementById('main').hidden === false")
            await running.die()
            await tab.until("document.getElementById('lost').hidden === false")
            assert re.search(r"Connection lost since \d\d:\d\d:\d\d UTC", await tab.text("#lost"))
            assert await tab.text("#state") == "connection lost"
            assert "Records" in await tab.text("main")
            tab.complaints.clear()  # of the browser: nobody answers


async def test_a_batch_that_halts_says_what_is_wrong_and_what_to_do(program: Program, browser: Browser) -> None:
    async with Simulator(SimulatorOptions(latency=0.2)) as simulator:
        words = aim(simulator, workspace="missing")
        running = await program.start("run", *words, "--listen", "127.0.0.1:0", "-")
        async with opened(browser, running) as tab:
            await tab.until("document.getElementById('main').hidden === false")
            await tab.call("Network.setBlockedURLs", urls=["*/plots?*"])  # as in a hidden tab, which asks for no plots
            await running.write(to_lines(records(200)))
            await tab.until("document.getElementById('state').textContent === 'halted, exit 4'")
            assert await tab.evaluate("document.querySelectorAll('#plots figure').length") == 4
            tab.complaints.clear()  # of the browser: it was blocked
            assert (await running.end()).code == 4
            assert "404" in await tab.text("#sentence")
            assert await tab.evaluate("document.querySelectorAll('#next-steps li').length") >= 1
            assert await tab.evaluate(FLAWS) == []


async def test_the_page_asks_for_the_token_and_takes_it_from_the_address(program: Program, browser: Browser) -> None:
    program.write("token", TOKEN.encode())
    (program.folder / "token").chmod(0o600)
    async with Simulator() as simulator:
        words = (*aim(simulator), "--listen", "127.0.0.1:0", "--listen-token-file", "token")
        running = await program.start("run", *words, "-")
        async with opened(browser, running) as tab:
            await tab.until("document.getElementById('sign-in').hidden === false")
            assert await tab.evaluate("document.getElementById('main').hidden")
            assert await tab.evaluate(FLAWS) == []
            for word, answer in (("wrong", "refused').textContent"), (TOKEN, "main').hidden === false")):
                await tab.evaluate(f"document.getElementById('token').value = '{word}'")
                await tab.evaluate("document.querySelector('#sign-in button').click()")
                await tab.until(f"document.getElementById('{answer}")
            url = await tab.evaluate("location.href")
            tab.complaints.clear()  # of the browser: the answers were 401
        async with browser.tab(f"{url}#token={TOKEN}", PHONE) as tab:
            await tab.until("document.getElementById('main')?.hidden === false")
            assert await tab.evaluate("location.href") == url, "the token is in no history"
        await running.end(b"")
