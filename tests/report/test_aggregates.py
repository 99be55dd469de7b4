from ingestor.report.tally import CAPACITY, Cost, ErrorCount, ErrorTally


def test_the_most_frequent_errors_come_first() -> None:
    tally = ErrorTally()
    for status in (503, 429, 503, 404, 503, 429):
        tally.add(Cost.RETRIED, status, "Code", "message")
    assert [(error.http_status, error.count) for error in tally.most_frequent(2)] == [(503, 3), (429, 2)]


def test_messages_that_differ_in_ids_and_numbers_are_one_error_shown_by_its_first_message() -> None:
    tally = ErrorTally()
    for experiment in ("17", "18", "ocid1.x.oc1..aaa", "f81d4fae-7dec"):
        tally.add(Cost.FAILED, 404, "NotFound", f"Experiment {experiment} was not found after 12.5 s.")
    assert tally.most_frequent(10) == [
        ErrorCount(4, Cost.FAILED, 404, "NotFound", "Experiment 17 was not found after 12.5 s.")
    ]


def test_messages_that_differ_in_words_are_different_errors() -> None:
    tally = ErrorTally()
    tally.add(Cost.REJECTED, None, None, "tags: is not an object")
    tally.add(Cost.REJECTED, None, None, "run_name: is not a string")
    assert len(tally.most_frequent(10)) == 2


def test_what_an_error_cost_tells_errors_apart() -> None:
    tally = ErrorTally()
    tally.add(Cost.RETRIED, 503, None, "busy")
    tally.add(Cost.FAILED, 503, None, "busy")
    assert {error.cost for error in tally.most_frequent(10)} == {Cost.RETRIED, Cost.FAILED}


def test_memory_is_bounded_and_what_is_not_told_apart_is_counted() -> None:
    tally = ErrorTally()
    words = [f"word{'x' * number}" for number in range(CAPACITY + 5)]
    for word in words + words[:1]:
        tally.add(Cost.FAILED, 400, None, word)
    errors = tally.most_frequent(CAPACITY * 2)
    assert len(errors) == CAPACITY
    assert errors[0].count == 2
    assert tally.others == 5


def test_a_long_message_is_kept_short() -> None:
    tally = ErrorTally()
    tally.add(Cost.FAILED, 400, None, "x" * 1_000_000)
    assert len(tally.most_frequent(1)[0].message) == 300
