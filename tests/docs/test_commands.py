"""Every command and every Python block in README and docs runs as it is written, page by page, against a simulator."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import ingestor
from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.server import Simulator
from tests.docs.notebook import Notebook
from tests.docs.pages import PAGES, ROOT, Block, blocks

OPTIONS = SimulatorOptions(platform_id="ocid1.aidataplatform.oc1.iad.example", workspace_key="my-workspace")
TIMEOUT = 120.0
FIXED_PORT, FREE_PORT = "127.0.0.1:9464", "127.0.0.1:0"


def blocks_that_run(page: Path, language: str) -> list[Block]:
    return [block for block in blocks(page) if block.language == language and block.reason is None]


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks_that_run(page, language)]


@pytest.fixture
def address() -> Iterator[str]:
    """A simulator on an event loop of its own: a page may block the one that it runs in."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    simulator = Simulator(OPTIONS)
    try:
        asyncio.run_coroutine_threadsafe(simulator.__aenter__(), loop).result(TIMEOUT)
        yield simulator.url
        asyncio.run_coroutine_threadsafe(simulator.__aexit__(None, None, None), loop).result(TIMEOUT)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(TIMEOUT)
        loop.close()


@pytest.fixture
def folder(tmp_path: Path, address: str) -> Path:
    """A folder as a reader has it: records, the settings of README, the annotated settings, and a finished batch."""
    (tmp_path / "runs").mkdir()
    for year in (2023, 2024):
        lines = [f'{{"job_id": "{year}/{n}", "experiment_id": "7", "run_name": "run {n}"}}\n' for n in range(20)]
        (tmp_path / "runs" / f"{year}.jsonl").write_text("".join(lines))
    (tmp_path / "config").symlink_to(ROOT / "config")
    (settings,) = [block.code for block in blocks(ROOT / "README.md") if block.language == "toml"]
    (tmp_path / "ingestor.toml").write_text(aimed(settings, address))
    target = ingestor.aidp(
        endpoint=address, platform_id=OPTIONS.platform_id, workspace=OPTIONS.workspace_key, auth="none"
    )
    ingestor.ingest_sync(tmp_path / "runs" / "2023.jsonl", target, state=tmp_path / ".ingestor", senders=0)
    return tmp_path


def aimed(code: str, address: str) -> str:
    """Aim code that names a region at the simulator instead."""
    toml = f'endpoint = "{address}"\nauth = "none"'
    python = f'endpoint="{address}", auth="none"'
    return code.replace('region = "us-ashburn-1"', toml).replace('region="us-ashburn-1"', python)


def environment(folder: Path) -> dict[str, str]:
    """Return an environment in which `ingestor` is the one under test, without a reader's own settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INGESTOR_")}
    path = os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])
    return {**kept, "PATH": path, "HOME": str(folder), "INGESTOR_SENDERS": "0"}


@pytest.mark.parametrize("page", pages_with("sh"), ids=lambda page: page.name)
def test_every_command_of_a_page_ends_as_the_page_says(page: Path, folder: Path) -> None:
    for block in blocks_that_run(page, "sh"):
        command = ["bash", "-euo", "pipefail", "-c", block.code.replace(FIXED_PORT, FREE_PORT)]
        ended = subprocess.run(
            command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=TIMEOUT, check=False
        )
        said = f"{block}\n{block.code}\n{ended.stdout}\n{ended.stderr}"
        assert ended.returncode == block.exit_code, said
        assert "Traceback" not in ended.stderr, said


@pytest.mark.parametrize("page", pages_with("python"), ids=lambda page: page.name)
async def test_the_python_blocks_of_a_page_run_as_the_cells_of_a_notebook(
    page: Path, folder: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    notebook = Notebook()
    for block in blocks_that_run(page, "python"):
        await notebook.run(block, aimed(block.code, address))


def test_the_pages_have_commands_and_python() -> None:
    assert {"README.md", "operations.md", "records.md"} <= {page.name for page in pages_with("sh")}
    assert {"README.md", "library.md", "adding-a-source.md"} <= {page.name for page in pages_with("python")}
