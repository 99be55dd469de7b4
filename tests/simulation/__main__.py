"""`python -m tests.simulation [LIVES [SEED]]`: live many lives from a seed on, or a single one again (LIVES is 1)."""

import sys
import time
from collections import Counter

from tests.simulation.life import live
from tests.simulation.schedule import draw


def main(lives: int, seed: int) -> int:
    """Live `lives` lives; print what breaks a promise, and the seed that shows it again."""
    began, broken, outcomes = time.monotonic(), [], Counter[str]()
    for each in range(seed, seed + lives):
        try:
            outcomes += live(draw(each))
        except Exception as error:
            broken.append(each)
            sys.stdout.write(f"seed {each}: {error!r}\n")
            if lives == 1:
                raise
    seconds = time.monotonic() - began
    sys.stdout.write(f"{lives:,} lives from seed {seed}: {seconds:.0f} s, {60 * lives / seconds:,.0f} a minute\n")
    sys.stdout.write(f"outcomes: {dict(outcomes)}; broken promises: {len(broken)} {broken[:20]}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    lives, seed = ([int(word) for word in sys.argv[1:]] + [1000, 1][len(sys.argv) - 1 :])[:2]
    raise SystemExit(main(lives, seed))
