"""The way of one ordinary record through the program: which of its functions are called, and how often.

    python -m tests.bench.record_path [--records N] [--all]

Runs `ingestor run --senders 0` in this process against a simulator in another, over batches of two sizes, and counts
the calls of the package's functions in all threads (`sys.setprofile`). The difference, divided by the difference of
the sizes, is what one record costs; what a batch or a group of records costs counts with its share. Each time that a
coroutine or a generator goes on counts as a call.
"""

import argparse
import contextlib
import io
import json
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Self

import ingestor
from ingestor.cli.main import main as ingestor_main
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY
from ingestor.simulator.sample import records
from tests.bench.process import ROOT

SMALL = 200
"""Records of the small batch."""
SHARE = 0.5
"""Calls a record from which a function belongs to the way of every record."""

_PACKAGE = str(Path(ingestor.__file__).parent)


@dataclass(frozen=True, slots=True)
class RecordPath:
    """The calls of each function a record, by file and qualified name."""

    calls: Mapping[tuple[str, str], float]

    @property
    def total(self) -> float:
        """How many calls a record costs."""
        return sum(self.calls.values())

    @property
    def usual(self) -> dict[tuple[str, str], float]:
        """The functions that (almost) every record passes."""
        return {name: calls for name, calls in self.calls.items() if calls >= SHARE}

    @property
    def files(self) -> list[str]:
        """The files that (almost) every record passes."""
        return sorted({file for file, _ in self.usual})


class CallCounter:
    """Counts the calls of the package's functions while its `with` block runs, in all threads that start in it."""

    def __init__(self) -> None:
        self._calls = Counter[tuple[int, CodeType]]()  # by thread, so that no two threads change the same count

    def __enter__(self) -> Self:
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)
        threading.setprofile(None)

    def _profile(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            self._calls[threading.get_ident(), frame.f_code] += 1

    def counts(self) -> Counter[tuple[str, str]]:
        """Return the calls by file, relative to the package, and qualified name."""
        counts = Counter[tuple[str, str]]()
        for (_, code), calls in list(self._calls.items()):  # a thread may still run
            if code.co_filename.startswith(_PACKAGE):
                counts[str(Path(code.co_filename).relative_to(_PACKAGE)), code.co_qualname] += calls
        return counts


def path_of_a_record(url: str, folder: Path, small: int, large: int) -> RecordPath:
    """Return the way of one record: the difference between two batches, divided by that of their sizes."""
    ingest(url, folder, small)  # imports what is imported on first use
    few, many = (_counted(url, folder, count) for count in (small, large))
    many.subtract(few)
    return RecordPath({name: calls / (large - small) for name, calls in many.items() if calls > 0})


def _counted(url: str, folder: Path, count: int) -> Counter[tuple[str, str]]:
    with CallCounter() as counter:
        ingest(url, folder, count)
    return counter.counts()


def ingest(url: str, folder: Path, count: int) -> None:
    """Ingest `count` records into a new state directory. Raises SystemExit unless each becomes a run."""
    place = Path(tempfile.mkdtemp(dir=folder))
    file = place / "runs.jsonl"
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(json.dumps(record) + "\n" for record in records(count))
    target = ("--endpoint", url, "--platform-id", PLATFORM_ID, "--workspace", WORKSPACE_KEY, "--auth", "none")
    words = ("run", str(file), *target, "--batch", place.name, "--state", str(place / "state"), "--senders", "0")
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()) as errors:
        exit_code = ingestor_main([*words, "--output", "json"])
    if exit_code != 0:
        raise SystemExit(f"ended with {exit_code}:\n{output.getvalue()}\n{errors.getvalue()}")


@contextmanager
def simulator() -> Iterator[str]:
    """Run a simulator in a process of its own; yield its address."""
    command = (sys.executable, "-m", "ingestor", "simulate", "--port", "0")
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def as_text(path: RecordPath, *, everything: bool) -> str:
    """Return the functions by file, and the totals."""
    shown = path.calls if everything else path.usual
    lines = [f"{calls:7.2f}  {file}: {name}" for (file, name), calls in sorted(shown.items())]
    usual = path.usual
    total = (
        f"{path.total:.1f} calls a record in all; {sum(usual.values()):.0f} of them in {len(usual)} functions in "
        f"{len(path.files)} files that every record passes"
    )
    return "\n".join([*lines, "", total])


def main(words: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.record_path")
    parser.add_argument("--records", type=int, default=2000, help=f"records of the large batch, above {SMALL}")
    parser.add_argument("--all", action="store_true", help=f"list the functions below {SHARE} calls a record, too")
    options = parser.parse_args(words)
    if options.records <= SMALL:
        parser.error(f"--records: give more than {SMALL}")
    with tempfile.TemporaryDirectory() as folder, simulator() as url:
        path = path_of_a_record(url, Path(folder), SMALL, options.records)
    sys.stdout.write(as_text(path, everything=options.all) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
