"""Seconds from the start to --help and to the first request, compared with the time to import aiohttp and pydantic."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from tests.bench import records
from tests.bench.process import run
from tests.bench.program import COMMAND, Program
from tests.bench.table import Check, Table, median_ratio

_IMPORTS = (sys.executable, "-c", "import aiohttp, pydantic_settings")


def startup(url: str, folder: Path, rounds: int, report: Callable[[str], None]) -> tuple[Table, list[Check]]:
    """Measure start-ups round after round; return the results."""
    one = records.write(folder / "one.jsonl", 1)
    program = Program(url, folder)
    tried: dict[str, list[float]] = {
        "import aiohttp, pydantic_settings": [],
        "ingestor --help": [],
        "first request": [],
    }
    imports, helps, firsts = tried.values()
    for _ in range(rounds):
        imports.append(run(_IMPORTS, folder, longest=60).seconds)
        helps.append(run((*COMMAND, "--help"), folder, longest=60).seconds)
        firsts.append(_first_request(program, one, folder / "startup"))
    report(f"startup: {rounds} rounds done")
    rows = [
        (name, f"{median(seconds):.2f}", f"{median_ratio(seconds, imports):.2f}") for name, seconds in tried.items()
    ]
    title = f"Start-up without OCI credentials, {rounds} rounds: medians"
    return Table(title, ("", "seconds", "ratio to the import time"), rows), [
        Check("ingestor --help", median(helps), 0.5, at_least=False, unit=" s"),
        Check("start to first request", median(firsts), 1.0, at_least=False, unit=" s"),
    ]


def _first_request(program: Program, one: Path, state: Path) -> float:
    try:
        execution = program.ingest(one, 1, state)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    return execution.first_request - execution.ended.began
