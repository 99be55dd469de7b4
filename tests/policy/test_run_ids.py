"""Two records that were answered with the same run: found within a bounded window."""

import tracemalloc

import pytest

from ingestor.policy.run_ids import WINDOW, RecentRunIds, repeated_run_message, repeated_run_of


def test_the_answer_to_another_token_with_the_same_run_is_repeated() -> None:
    ids = RecentRunIds()
    assert not ids.is_repeated("run-1", "a")
    assert ids.is_repeated("run-1", "b")
    assert ids.is_repeated("run-1", "c")


def test_the_same_answer_to_the_same_token_is_no_repetition_even_after_another_token_got_it() -> None:
    ids = RecentRunIds()
    assert [ids.is_repeated("run-1", token) for token in ("a", "a", "b", "a")] == [False, False, True, False]


def test_as_many_runs_as_the_window_holds_are_compared_and_an_old_one_is_forgotten() -> None:
    ids = RecentRunIds(window=100)
    ids.is_repeated("first", "a")
    assert not any(ids.is_repeated(f"run-{number}", str(number)) for number in range(99))
    assert ids.is_repeated("first", "b")
    assert not any(ids.is_repeated(f"later-{number}", str(number)) for number in range(200))
    assert not ids.is_repeated("first", "c")


def test_the_runs_of_earlier_executions_are_compared_too() -> None:
    ids = RecentRunIds([("run-1", "a"), ("run-2", "")])
    assert [ids.is_repeated("run-1", token) for token in ("a", "b")] == [False, True]
    assert ids.is_repeated("run-2", "a")


@pytest.mark.parametrize("run_id", ["0123abcd", "odd: a proxy, two\nlines", ""])
def test_the_message_of_a_repeated_run_names_it(run_id: str) -> None:
    assert repeated_run_of(repeated_run_message(run_id)) == run_id
    assert repeated_run_of("the run may exist") is None


def test_a_run_that_keeps_coming_back_is_never_forgotten() -> None:
    ids = RecentRunIds(window=10)
    ids.is_repeated("cached", "a")
    for number in range(100):
        ids.is_repeated(f"run-{number}", str(number))
        if number % 9 == 0:
            assert ids.is_repeated("cached", f"other-{number}")


def test_a_full_window_takes_at_most_two_megabytes() -> None:
    tracemalloc.start()
    ids = RecentRunIds()
    for number in range(4 * WINDOW):
        ids.is_repeated(f"{number:032x}", f"{number:064x}")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.5e6 < used < 2e6
