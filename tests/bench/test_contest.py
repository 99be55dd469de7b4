from tests.bench.contest import BARE, ONE, TWO, Contender, Turn, checks


def contender(name: str, *turns: Turn) -> Contender:
    return Contender(name, lambda: turns[0], turns=list(turns))


def test_contenders_are_compared_by_rounds() -> None:
    ours = contender(ONE, Turn(90, 11), Turn(9, 10), Turn(80, 12))
    bare = contender(BARE, Turn(100, 5.5), Turn(10, 5), Turn(100, 6))

    [check] = checks([ours, bare])

    assert (check.value, check.target, check.is_met, check.by_cpu) == (0.9, 0.85, True, 0.5)


def test_a_contender_that_took_no_part_is_not_compared() -> None:
    assert checks([contender(TWO, Turn(1, 1))]) == []
