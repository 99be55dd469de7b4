"""The HTML of `ingestor report` in a real browser: on a telephone, in the dark, on paper, and with hostile text."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim
from tests.e2e.test_page import EVIL, FLAWS
from tests.support.browser import DESKTOP, PHONE, Browser, chromium


@pytest.fixture
async def browser(tmp_path: Path) -> AsyncIterator[Browser]:
    async with chromium(tmp_path / "browser") as browser:
        yield browser


@pytest.fixture
async def report(program: Program) -> Path:
    """A report of two executions with hostile records, and one source with a very long name."""
    long = "n" * 150
    program.write(f"{long}.jsonl", list(records(30)))
    evil = {"job_id": EVIL + 200 * "W", "experiment_id": "9", "run_name": EVIL}
    program.write("evil.jsonl", [{"job_id": 7, "tags": []}, {"job_id": "x", EVIL: 1}, evil])
    async with Simulator(SimulatorOptions(missing_experiments=frozenset({"9"}))) as simulator:
        assert (await program.ingest(*aim(simulator), f"{long}.jsonl")).code == 0
        assert (await program.ingest(*aim(simulator), "evil.jsonl")).code == 3
    assert (await program.run("report", "--to", "report.html")).code == 0
    return program.folder / "report.html"


@pytest.mark.parametrize(
    ("size", "dark", "print_"),
    [(PHONE, False, False), (DESKTOP, True, False), (DESKTOP, False, True)],
    ids=["telephone", "dark", "paper"],
)
async def test_it_is_readable_for_everyone_and_its_own_rules_forbid_nothing_of_it(
    browser: Browser, report: Path, tmp_path: Path, size: tuple[int, int], dark: bool, print_: bool
) -> None:
    async with browser.tab(report.as_uri(), size, dark=dark, print_=print_) as tab:
        await tab.until("document.readyState === 'complete' && document.querySelector('footer')")
        assert await tab.evaluate(FLAWS) == []
        assert await tab.evaluate("document.querySelectorAll('svg.chart .line').length") >= 4
        background = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (background == "rgb(14, 19, 25)") is dark, "its style is in effect"
        assert EVIL[:20] in await tab.text("main")
        assert "\u202e" not in await tab.text("main")
        await tab.screenshot(tmp_path / "report.png")
        assert tab.complaints == []
        assert tab.requests == [report.as_uri()]
