"""A report while the journal changes."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ingestor.app.prune import prune
from ingestor.app.report import make_report
from ingestor.journal.reader import known_batches
from ingestor.model.errors import JournalError
from tests.journal.big import add_rows

ROWS = 10_000  # after so many, the report says how far it is
OLD = 1_700_000_000.0


def pruning(state: Path) -> Callable[[int], object]:
    """Return what prunes all old rows while a report is made."""
    return lambda _: prune(state, None, age=3600.0, allow_network_state=True, say=lambda _: None)


def test_rows_that_are_pruned_while_a_report_is_made_are_counted_once(tmp_path: Path) -> None:
    add_rows(tmp_path, ROWS + 1, at=OLD)
    known = known_batches(tmp_path)
    report = make_report(tmp_path, known, known[0], pruning(tmp_path))
    assert (report.total, sum(report.pruned.counts.values())) == (ROWS + 1, ROWS + 1)
    assert report.digest is not None
    assert report.digest.lines == 0


def test_a_report_does_not_wait_for_a_prune_without_end(tmp_path: Path) -> None:
    add_rows(tmp_path, ROWS, at=OLD)
    known = known_batches(tmp_path)

    def say(_: int) -> None:
        pruning(tmp_path)(0)
        add_rows(tmp_path, ROWS, at=OLD)

    with pytest.raises(JournalError, match="are being pruned: wait"):
        make_report(tmp_path, known, known[0], say)
