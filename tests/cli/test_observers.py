"""What watches a session of the command line."""

from pathlib import Path

from ingestor.app.observing.termination import TERMINATION_LOG
from ingestor.cli.observers import observers_of
from ingestor.settings.load import load
from tests.settings.environment import environment


def observers(**variables: str) -> int:
    with environment(**variables):
        return len(observers_of(load({}).settings))


def test_the_termination_log_is_written_in_any_case_and_systemd_hears_only_if_it_asks() -> None:
    assert Path("/dev/termination-log") == TERMINATION_LOG
    assert observers() == 1
    assert observers(NOTIFY_SOCKET="/run/systemd/notify") == 2
    assert observers(NOTIFY_SOCKET="@abstract") == 2
    assert observers(NOTIFY_SOCKET="relative") == 1
