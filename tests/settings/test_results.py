import pytest

from ingestor.model.errors import UsageError
from ingestor.settings.commands import Format, ResultsOptions
from ingestor.settings.load import from_flags


def test_without_flags_everything_is_printed_as_json_lines() -> None:
    options = from_flags(ResultsOptions, {})
    assert (options.format, options.outcome) == (Format.JSONL, None)


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--outcome: must be 'pending', .* got lost"):
        from_flags(ResultsOptions, {"outcome": "lost"})
