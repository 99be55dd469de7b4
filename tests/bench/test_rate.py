"""The rate benchmark, apart from its runs in real time."""

import pytest

from ingestor.simulator.options import SimulatorOptions
from tests.bench.rate import main
from tests.bench.rate_scenarios import PARTS, QUICK, Scenario


def test_what_is_allowed_follows_the_limits_over_time() -> None:
    falling = Scenario(name="falls", limits=[(300.0, 0.0), (50.0, 15.0)], service=SimulatorOptions())
    assert falling.allowed(10.0, 20.0, None) == 5 * 300 + 5 * 50


@pytest.mark.parametrize(("unlimited", "allowed"), [(None, None), (800.0, 8000.0)])
def test_without_a_limit_the_run_without_one_says_what_is_allowed(
    unlimited: float | None, allowed: float | None
) -> None:
    assert PARTS["plain"](500.0)[0].allowed(0.0, 10.0, unlimited) == allowed


def test_the_quick_benchmark_has_the_same_parts() -> None:
    assert list(QUICK) == list(PARTS)


def test_the_scenario_without_a_limit_runs_first() -> None:
    """The others are compared with it."""
    assert next(iter(PARTS)) == "plain"


def test_the_benchmark_prints_what_was_reached_with_each_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "changes", "--quick", "--seeds", "1", "2"]) == 0
    title, fall, rise, *_ = capsys.readouterr().out.splitlines()
    assert "fall" in title
    assert fall.startswith("500/s falls to 83/s, 30 ms ")
    assert rise.startswith("167/s rises to 500/s, 30 ms ")
    assert fall.count(" s") == rise.count(" s") == 2
    assert fall.count("%") == 2


def test_an_unknown_part_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--only", "everything"])
    assert ended.value.code == 2
    assert "kinds" in capsys.readouterr().err
