"""The exit code comes from how the work ended: the first thing that is wrong, in one order."""

from collections import Counter

import pytest

from ingestor.app.exit_codes import exit_code_of
from ingestor.model.errors import ExitCode
from ingestor.model.record import Outcome


@pytest.mark.parametrize(
    ("halted", "stopped", "read_nothing", "code"),
    [
        (True, True, True, ExitCode.HALTED),
        (False, True, True, ExitCode.STOPPED),
        (False, False, True, ExitCode.USAGE),
        (False, False, False, ExitCode.INCOMPLETE),
    ],
)
def test_what_is_worse_comes_first(halted: bool, stopped: bool, read_nothing: bool, code: ExitCode) -> None:
    counts = Counter({Outcome.REJECTED: 1})
    assert exit_code_of(halted=halted, stopped=stopped, read_nothing=read_nothing, counts=counts) is code


@pytest.mark.parametrize("outcome", Outcome)
def test_a_record_without_a_complete_run_that_nobody_gave_up_is_no_success(outcome: Outcome) -> None:
    is_done = outcome in {Outcome.CREATED, Outcome.DUPLICATE, Outcome.FORGOTTEN}
    assert exit_code_of(counts={outcome: 1}) is (ExitCode.OK if is_done else ExitCode.INCOMPLETE)
    assert exit_code_of(counts={outcome: 0}) is ExitCode.OK
