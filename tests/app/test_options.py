"""Batch options, and the settings that become them."""

from dataclasses import fields
from pathlib import Path

import pytest

from ingestor.app.machine import cores
from ingestor.app.options import LEAST_LOG_SIZE, BatchOptions
from ingestor.cli.commands import options_of
from ingestor.cli.target import target_of
from ingestor.model.errors import UsageError
from ingestor.settings.options import Settings
from tests.settings.environment import environment


def test_settings_without_values_are_the_default_options() -> None:
    with environment():
        settings = Settings(tracking_uri="http://h")
    options = options_of(settings)
    defaults = BatchOptions()
    resolved = {"log", "rejects", "retry_tokens"}
    for name in {field.name for field in fields(BatchOptions)} - resolved:
        assert getattr(options, name) == getattr(defaults, name), name
    assert (options.log_path, options.rejects_path) == (defaults.log_path, defaults.rejects_path)
    assert options.retry_tokens is target_of(settings).honours_tokens


def test_every_setting_of_a_batch_reaches_its_option() -> None:
    given: dict[str, object] = {
        "batch": "b",
        "state": Path("s"),
        "log": Path("l"),
        "rejects": Path("r"),
        "stamp": False,
        "retry_tokens": False,
        "allow_network_state": True,
        "new_state": False,
        "same_server": True,
        "log_max_bytes": 10_000,
        "log_keep": 2,
        "wait_for_service": True,
        "rate": 1.5,
        "concurrency": 2,
        "senders": 3,
        "timeout": 4.5,
        "max_attempts": 5,
        "max_retry_time": 6.5,
        "max_pause": 7.5,
        "follow": True,
        "give_up_after": 8.5,
        "time_budget": 9.5,
        "budget_exit": 0,
        "drain_timeout": 10.5,
    }
    with environment():
        options = options_of(Settings.model_validate(given))
    assert {field.name for field in fields(BatchOptions)} == given.keys()
    assert {name: getattr(options, name) for name in given} == given


@pytest.mark.parametrize(("quota", "most"), [("150000 100000", 1), ("50000 100000", 1), ("max 100000", 2**31)])
def test_a_container_has_as_many_cores_as_its_quota(tmp_path: Path, quota: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    assert 1 <= cores(tmp_path / "cpu.max") <= most


def test_the_least_size_of_the_log_is_the_same_for_the_option_and_for_a_program() -> None:
    with environment():
        assert options_of(Settings.model_validate({"log_max_bytes": LEAST_LOG_SIZE})).log_max_bytes == LEAST_LOG_SIZE
        with pytest.raises(ValueError, match=f"greater than or equal to {LEAST_LOG_SIZE}"):
            Settings.model_validate({"log_max_bytes": LEAST_LOG_SIZE - 1})
    with pytest.raises(UsageError, match=f"log_max_bytes: must be {LEAST_LOG_SIZE} to "):
        BatchOptions(log_max_bytes=LEAST_LOG_SIZE - 1)
