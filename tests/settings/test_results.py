import pytest

from ingestor.journal.schema import State
from ingestor.model.errors import UsageError
from ingestor.settings.load import from_flags
from ingestor.settings.results import Format, JobState, ResultsOptions


def test_without_flags_everything_is_printed_as_json_lines() -> None:
    options = from_flags(ResultsOptions, {})
    assert (options.format, options.outcome) == (Format.JSONL, None)


def test_an_outcome_is_named_as_the_journal_names_it() -> None:
    assert {str(state) for state in JobState} == {str(state) for state in State}


def test_an_unknown_outcome_is_refused() -> None:
    with pytest.raises(UsageError, match=r"--outcome: must be 'created', .* got lost"):
        from_flags(ResultsOptions, {"outcome": "lost"})
