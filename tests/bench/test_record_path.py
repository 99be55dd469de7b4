from pathlib import Path

from ingestor.policy.identity import Scope, retry_token
from tests.bench.record_path import CallCounter, RecordPath, as_text

PATH = RecordPath({("a.py", "often"): 2.0, ("a.py", "seldom"): 0.25, ("b.py", "once"): 1.0})


def test_calls_of_the_package_are_counted_and_no_others() -> None:
    scope = Scope("platform", "workspace", "batch")
    with CallCounter() as counter:
        for key in "abc":
            retry_token(scope, key)
        Path("elsewhere").with_suffix(".txt")
    retry_token(scope, "after")
    counts = counter.counts()
    assert counts["policy/identity.py", "retry_token"] == 3
    assert {file for file, _ in counts} == {"policy/identity.py"}


def test_a_function_that_few_records_pass_counts_in_the_total_alone() -> None:
    assert PATH.total == 3.25
    assert PATH.files == ["a.py", "b.py"]
    assert "seldom" not in as_text(PATH, everything=False)
    assert "seldom" in as_text(PATH, everything=True)
