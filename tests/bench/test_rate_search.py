"""The search for rate constants, with a tiny budget."""

from dataclasses import replace

import pytest

from ingestor.policy.rate_constants import CONSTANTS
from tests.bench.rate_search import SEARCHED, Scenario, main, score, search

TINY = [Scenario([(100.0, 4.0)], 0.1, 0.05)]


def test_a_search_begins_with_the_constants_in_use_and_never_gets_worse() -> None:
    trials = list(search(TINY, SEARCHED, 12, seed=1))
    assert (trials[0].constants, len(trials)) == (CONSTANTS, 13)
    kept = [trial.score.cost for trial in trials if trial.is_better]
    assert kept == sorted(kept, reverse=True)
    assert len(kept) > 1, "a few changes in twelve are better for one service"


def test_the_same_seed_repeats_a_search() -> None:
    first, again = (list(search(TINY, SEARCHED[:3], 3, seed=7)) for _ in range(2))
    assert first == again


def test_a_score_is_worse_where_more_is_refused() -> None:
    """A client that probes far above the limit all the time."""
    eager = replace(CONSTANTS, reach=0.2, smallest_reach=0.1, shortest_hold=1.0, hold_attempts=50)
    service = [Scenario([(200.0, 20.0)], 0.1, 0.05)]
    usual, other = score(service, CONSTANTS), score(service, eager)
    assert other.refused > usual.refused
    assert other.cost > usual.cost


def test_the_command_prints_a_table_of_scores(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--trials", "2", "--only", "reach", "hold_attempts"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "score" in lines[0]
    assert [line.split("   ")[-1].split(" = ")[0] for line in lines[1:4]] == [
        "as they are  better",
        "reach",
        "hold_attempts",
    ]
    assert lines[-1].startswith("best: ")


def test_an_unknown_constant_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "patience"])
    assert ended.value.code == 2
    assert "unknown constants: patience" in capsys.readouterr().err
