"""The rejected records of earlier runs, from the files that the runs left: `rejects.jsonl`, `rejects-<time>.jsonl`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from ingestor.journal.forgotten import ForgottenReject
from ingestor.model.errors import UsageError
from ingestor.model.text import WHOLE, printable
from ingestor.policy.identity import reject_digest
from ingestor.policy.reported import ReportedRejects, place_digest

_MOST_READ = 64 * 1024 * 1024  # bytes of the file of rejected records
_TIME = r"-\d{8}T\d{6}Z(-\d+)?"  # see `report.rejects`


class EarlierRejects:
    """The rejected records in the file of the last run, and in those that earlier runs left next to it.

    Attributes:
        files: the files, the oldest first. A missing one has no records.
        damaged: how many rejects of damaged sources were left out so far: what is missing there is not known.
    """

    def __init__(self, path: Path) -> None:
        """`path` is the file of the last run. Raises UsageError if it is no file."""
        if path.exists() and not path.is_file():
            raise UsageError(f"{_shown(path)} is not a file of rejected records: name the file with --rejects.")
        name = re.compile(re.escape(path.stem) + _TIME + re.escape(path.suffix))
        earlier = sorted(it for it in path.parent.glob("*") if name.fullmatch(it.name) and it.is_file())
        self.files = [*earlier, *([path] if path.exists() else [])]
        self.damaged = 0

    def __iter__(self) -> Iterator[ForgottenReject]:
        """Yield each record that can be given up. Raises UsageError for a line that is no rejected record."""
        for path in self.files:
            yield from self._read(path)

    def _read(self, path: Path) -> Iterator[ForgottenReject]:
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    reject = self._parse(path, number, line)
                    if reject is not None:
                        yield reject
        except OSError as error:
            raise UsageError(f"{_shown(path)} can't be read: {error.strerror}.") from error

    def _parse(self, path: Path, number: int, line: bytes) -> ForgottenReject | None:
        """Return what a line rejects; None for damage, and for an unfinished last line that a killed run left."""
        try:
            reject = json.loads(line)
            source, text = str(reject["source"]), str(reject["record"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if not line.endswith(b"\n"):
                return None
            raise UsageError(
                f"{_shown(path)}, line {number}: this is no rejected record (source, line, reason, record): name the "
                "file of the last run with --rejects."
            ) from error
        if reject.get("damaged"):
            self.damaged += 1
            return None
        if reject.get("other_format"):
            return ForgottenReject(source, reject_digest(text, source), is_whole_source=True)
        return ForgottenReject(source, reject_digest(text), _key_of(text))


def reported_before(path: Path) -> ReportedRejects:
    """Return what earlier executions have written to the file of rejected records: of a large file, its end.

    Raises UsageError if it can't be read.
    """
    if not path.is_file():
        return ReportedRejects()
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _MOST_READ))
            return ReportedRejects(digest for line in file if (digest := _place_of(line)) is not None)
    except OSError as error:
        raise UsageError(f"{_shown(path)} can't be read: {error.strerror}.") from error


def _place_of(line: bytes) -> bytes | None:
    """Return the digest of a reject and its place; None for a line that is none."""
    try:
        reject = json.loads(line)
        return place_digest(reject["source"], int(reject["line"]), reject["record"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _key_of(text: str) -> str | None:
    """Return the `job_id` of a rejected record, if it can be read."""
    try:
        record = json.loads(text)
        key = record.get("job_id") if isinstance(record, dict) else None
        return key if isinstance(key, str) and key.encode() else None
    except (ValueError, RecursionError):  # a lone surrogate is a ValueError too
        return None


def _shown(path: Path) -> str:
    return printable(str(path), WHOLE)
