"""A million records through a faulty service: nothing lost, nothing doubled, memory flat.

    python -m tests.soak.million [RECORDS]

Ingests 10,000 records, then RECORDS (a million), each into a state directory of its own, and compares the journal and
the log with the service. Prints its figures; ends with 1 where a promise is broken. The service is the simulator on
loopback, in a process of its own.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from ingestor.journal.reader import results
from ingestor.simulator.options import PLATFORM_ID, SURVIVABLE, WORKSPACE_KEY
from ingestor.simulator.sample import records

FEW = 10_000
MANY = 1_000_000
GROWTH = 1.10
"""How much more memory MANY may take than FEW."""
SLOWEST = 100
"""Records a second below which the run is stopped."""

PROGRAM = (sys.executable, "-m", "ingestor")
FAULTS = ",".join(f"{fault}=0.001" for fault in sorted(SURVIVABLE))


@dataclass(frozen=True)
class Figures:
    count: int
    seconds: float
    peak_kib: int
    summary: dict[str, Any]
    statistics: dict[str, Any]
    differences: int
    logged: int

    @property
    def is_exact(self) -> bool:
        """Whether every record is one run, and journal, log and service agree on it."""
        return bool(
            self.summary["exit_code"] == 0
            and self.statistics["runs"] == self.statistics["tokens"] == self.logged == self.count
            and self.statistics["tokens_with_several_runs"]
            == self.statistics["token_conflicts"]
            == self.differences
            == 0
        )


def main(many: int) -> int:
    few, lot = measure(FEW), measure(many)
    growth = lot.peak_kib / few.peak_kib
    report(
        f"peak memory: {few.peak_kib:,} KiB for {FEW:,} records, {lot.peak_kib:,} KiB for {many:,}: {growth:.2f} times"
    )
    kept = few.is_exact and lot.is_exact and growth <= GROWTH
    report("all promises kept" if kept else "A PROMISE IS BROKEN")
    return 0 if kept else 1


def measure(count: int) -> Figures:
    with tempfile.TemporaryDirectory() as name, simulator() as url:
        folder = Path(name)
        with (folder / "runs.jsonl").open("w") as file:
            file.writelines(json.dumps(record) + "\n" for record in records(count))
        began = time.monotonic()
        summary, peak = ingest(folder, url, longest=60 + count / SLOWEST)
        seconds = time.monotonic() - began
        with urlopen(f"{url}/statistics") as response:  # noqa: S310 - loopback
            statistics = json.load(response)
        figures = Figures(count, seconds, peak, summary, statistics, *compare(folder / "state", url))
    report(
        f"{count:,} records: {seconds:,.0f} s, {count / seconds:,.0f}/s, exit code {summary['exit_code']}, "
        f"attempts {summary['attempts']:,}, retries {summary['retries']:,}, runs {statistics['runs']:,}, "
        f"tokens with several runs {statistics['tokens_with_several_runs']}, replays {statistics['replays']:,}, "
        f"outcomes that differ {figures.differences}, logged {figures.logged:,}, peak {peak:,} KiB"
    )
    return figures


def ingest(folder: Path, url: str, longest: float) -> tuple[dict[str, Any], int]:
    """Run the program over runs.jsonl; return its summary and the most memory it held, in KiB."""
    aim = ("--endpoint", url, "--platform-id", PLATFORM_ID, "--workspace", WORKSPACE_KEY, "--auth", "none")
    command = (*PROGRAM, "run", *aim, "--state", "state", "--concurrency", "64", "--timeout", "2", "--output", "json")
    with (folder / "summary").open("w+") as output, (folder / "errors").open("w+") as errors:
        with subprocess.Popen((*command, "runs.jsonl"), cwd=folder, stdout=output, stderr=errors) as process:
            peak, deadline = 0, time.monotonic() + longest
            while process.poll() is None and time.monotonic() < deadline:
                peak = max(peak, memory_of(process.pid))
                time.sleep(0.1)
            process.kill()
        output.seek(0)
        errors.seek(0)
        printed = output.read().splitlines()
        if not printed:
            raise SystemExit(f"ended without a summary: {errors.read()[-2000:]}")
        return json.loads(printed[-1]), peak


def memory_of(pid: int) -> int:
    """Return the most memory that a process has held, in KiB; 0 where it is gone."""
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) if found else 0


def compare(state: Path, url: str) -> tuple[int, int]:
    """Count the outcomes that differ from the service, and the jobs that the log says were created."""
    with urlopen(f"{url}/statistics?runs=1") as response:  # noqa: S310 - loopback
        runs = {run["token"]: run["run_id"] for run in map(json.loads, response)}
    differences = sum(runs.get(row.retry_token) != row.run_id for row in results(state))
    logged = set()
    with (state / "log.jsonl").open() as lines:
        for line in lines:
            if '"run.created"' in line:
                event = json.loads(line)
                differences += runs.get(event["retry_token"]) != event["run_id"]
                logged.add(event["retry_token"])
    return differences, len(logged)


@contextmanager
def simulator() -> Iterator[str]:
    """Run a service with every fault and no limit; yield its address."""
    command = (*PROGRAM, "simulate", "--port", "0", "--faults", FAULTS, "--slow", "0.2")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]) if len(sys.argv) > 1 else MANY))
