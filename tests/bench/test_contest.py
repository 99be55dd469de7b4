from tests.bench.contenders import BARE, ONE, TWO, Contender, Turn
from tests.bench.contest import checks


def contender(name: str, *turns: Turn) -> Contender:
    return Contender(name, lambda: turns[0], turns=list(turns))


def test_contenders_are_held_against_each_other_by_rounds() -> None:
    ours = contender(ONE, Turn(90, 11), Turn(9, 10), Turn(80, 12))
    bare = contender(BARE, Turn(100, 5.5), Turn(10, 5), Turn(100, 6))

    [check] = checks([ours, bare])

    assert (check.figure, check.target, check.met, check.steady) == (0.9, 0.85, True, 0.5)


def test_who_took_no_part_is_held_against_nobody() -> None:
    assert checks([contender(TWO, Turn(1, 1))]) == []
