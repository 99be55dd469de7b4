"""Who brings in how many records a second: round after round, each contender once a round."""

from collections.abc import Callable, Collection, Sequence

from tests.bench.contenders import BARE, BARE_PLAIN, LABELS, OFFICIAL, ONE, PLAIN, TWO, Arena, Contender, contenders
from tests.bench.figures import Check, median_ratio, spread
from tests.bench.table import Table

_COLUMNS = ("", "records/s", "processor, µs/record", "start-up, s")

_TARGETS = (
    (ONE, BARE, 0.85),
    (ONE, OFFICIAL, 4.0),
    (TWO, ONE, 1.5),
    (TWO, OFFICIAL, 6.0),
    (PLAIN, BARE_PLAIN, 0.5),
)


def contest(arena: Arena, names: Collection[str], say: Callable[[str], None]) -> tuple[Table, list[Check]]:
    """Let those who are named have their turns; return what came out."""
    say("contest: finding the best number of threads")
    met = contenders(arena, names)
    for number in range(1, arena.effort.rounds + 1):
        for contender in met:
            turn = contender.turn()
            contender.turns.append(turn)
            say(f"contest: round {number}: {contender.label}: {turn.rate:,.0f}/s, {turn.cpu:,.0f} µs each")
    title = f"Records a second: median (lowest-highest) of {arena.effort.rounds} turns each"
    return Table(title, _COLUMNS, [_row(contender) for contender in met]), checks(met)


def _row(contender: Contender) -> tuple[str, ...]:
    startup = "" if contender.startup is None else f"{contender.startup:.2f}"
    return (contender.label, spread(contender.rates), spread(contender.cpus), startup)


def checks(met: Sequence[Contender]) -> list[Check]:
    """Hold those who took part against each other: medians of the ratios of each round.

    Beside the rates stands the ratio of the processor time a record, which other work on the machine moves less.
    """
    named = {contender.name: contender for contender in met}
    return [
        Check(
            f"records/s, {LABELS[ours]} to {LABELS[theirs]}",
            median_ratio(named[ours].rates, named[theirs].rates),
            target,
            steady=median_ratio(named[theirs].cpus, named[ours].cpus),
        )
        for ours, theirs, target in _TARGETS
        if ours in named and theirs in named
    ]
