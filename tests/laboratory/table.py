"""The tables of the laboratory, a row a case with one value a seed. A star marks a value that misses a requirement."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from typing import Protocol, TypeVar

from tests.laboratory.cases import BASIC, Case, all_cases
from tests.laboratory.changes import (
    Followed,
    Shared,
    all_changes,
    all_sharings,
    try_change,
    try_sharing,
)
from tests.laboratory.outcome import Outcome, try_case
from tests.laboratory.slow_answers import Answered, all_slow_answers, try_slow_answers

What = TypeVar("What")
Result = TypeVar("Result")
Print = Callable[[str], None]

_LABEL = 74  # characters


def kinds_table(seeds: Sequence[int], pool: ProcessPoolExecutor, write: Print, *, quick: bool) -> list[Outcome]:
    """Write what is reached on each kind of limiter; return it all."""
    cases = [Case(kind) for kind in BASIC] if quick else list(all_cases())
    write(f"{len(cases)} kinds of limiters, in percent; seeds {', '.join(map(str, seeds))}")
    width = 8 * len(seeds)
    words = f"{'accepted':{width}} {'429s':{width}} "
    write(f"{'':{_LABEL}} {'best constant rate':>18}   {'settled':{2 * width + 1}} first part")
    write(f"{'':{_LABEL}} {'accepted/s':>11} {'429s':>6}   {2 * words}")
    results = list[Outcome]()
    for case, outcomes in _each(try_case, cases, seeds, pool):
        best = outcomes[0].best
        columns = (
            _values(outcomes, "accepted"),
            _values(outcomes, "refused"),
            _values(outcomes, "first_accepted"),
            _values(outcomes, "first_refused"),
        )
        requests = " more than one request a second*" if any("sent_a_minute" in it.misses for it in outcomes) else ""
        found = f"{best.accepted:11,.1f} {100 * best.refused_share:6.1f}"
        write(f"{case.label:{_LABEL}} {found}   {' '.join(columns)}{requests}")
        results += outcomes
    write(_summary(results))
    return results


def _values(outcomes: Sequence[Outcome], name: str) -> str:
    return "".join(f"{100 * it.reached[name]:6.1f}{'*' if name in it.misses else ' '} " for it in outcomes)


def _summary(results: Sequence[Outcome]) -> str:
    limited = [it for it in results if it.best.accepted]
    shares = [min(1.0, it.reached["accepted"]) for it in limited]
    fewer = [it.best.refused_share - it.reached["refused"] for it in limited]
    missed = sum(bool(it.misses) for it in results)
    return (
        f"{missed} of {len(results)} miss a requirement. Settled, accepted is 95 % of the best constant rate or more\n"
        f"in {_at_least(shares, 0.95)}, at least 90 % in {_at_least(shares, 0.9)}; worst {100 * min(shares):.0f} %. "
        f"429s are at most 1 point more in {_at_least(fewer, -0.01)}, 2 points in {_at_least(fewer, -0.02)}."
    )


def _at_least(values: Sequence[float], least: float) -> str:
    return f"{100 * sum(value >= least for value in values) / len(values):.0f} %"


def changes_table(seeds: Sequence[int], pool: ProcessPoolExecutor, write: Print, *, quick: bool) -> list[Followed]:
    """Write how limits that fall and rise are followed; return it all."""
    changes = list(all_changes())[: 2 if quick else None]
    write("limits that fall (to be followed within 5 s) and rise (10 s): seconds, and 429s in the 20 s after it")
    results = list[Followed]()
    for change, followed in _each(try_change, changes, seeds, pool):
        within = "".join(f"{it.within:6.1f} s{'*' if it.is_missed else ' '}" for it in followed)
        write(f"{change.label:{_LABEL}} {within} {''.join(f'{100 * it.refused:6.1f} %' for it in followed)}")
        results += followed
    return results


def clients_table(seeds: Sequence[int], pool: ProcessPoolExecutor, write: Print, *, quick: bool) -> list[Shared]:
    """Write how several clients share a limit; return it all."""
    sharings = list(all_sharings())[: 2 if quick else None]
    write("several clients on one limit: Jain's index (at least 0.9), accepted together (93 %), and 429s")
    results = list[Shared]()
    for sharing, shared in _each(try_sharing, sharings, seeds, pool):
        words = (
            f"{it.jain:5.2f} {100 * it.used:6.1f} % {100 * it.refused:5.1f} %{'*' if it.is_missed else ' '}"
            for it in shared
        )
        write(f"{sharing.label:{_LABEL}} {'  '.join(words)}")
        results += shared
    return results


def answers_table(seeds: Sequence[int], pool: ProcessPoolExecutor, write: Print, *, quick: bool) -> list[Answered]:
    """Write how late and missing answers slow sending down; return it all."""
    slow = list(all_slow_answers())[: 4 if quick else None]
    write("slow and hung answers: the rate, in percent of the one without them, and attempts for each record")
    results = list[Answered]()
    for one, answered in _each(try_slow_answers, slow, seeds, pool):
        words = (f"{100 * it.share:6.1f}{'*' if it.is_missed else ' '} {it.attempts:6.3f}" for it in answered)
        write(f"{f'{one.label}, {1000 * one.latency:g} ms':{_LABEL}} {'  '.join(words)}")
        results += answered
    return results


def _each(
    work: Callable[[What, int], Result], items: Sequence[What], seeds: Sequence[int], pool: ProcessPoolExecutor
) -> Iterator[tuple[What, list[Result]]]:
    """Do the work for each item with all seeds, several items at a time; yield them in their order."""
    yield from zip(items, pool.map(partial(_with_seeds, work), items, repeat(seeds)), strict=True)


def _with_seeds(work: Callable[[What, int], Result], item: What, seeds: Sequence[int]) -> list[Result]:
    return [work(item, seed) for seed in seeds]


class Table(Protocol):
    """Writes a table of all its cases with all seeds, and returns what was reached."""

    def __call__(
        self, seeds: Sequence[int], pool: ProcessPoolExecutor, write: Print, *, quick: bool
    ) -> Sequence[object]: ...


TABLES: Mapping[str, Table] = {
    "kinds": kinds_table,
    "changes": changes_table,
    "clients": clients_table,
    "answers": answers_table,
}
"""The tables by the word that selects them."""
