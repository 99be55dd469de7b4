"""The texts that describe limiters."""

from random import Random

import pytest

from ingestor.simulator.limiter_spec import KINDS, parse_limiter
from ingestor.simulator.limiters import Limiter

BEGIN = 1_800_000_000.0


def accepted(limiter: Limiter, rate: float, seconds: float = 60.0) -> float:
    """Return how many requests a second of an even rate are admitted."""
    times = (BEGIN + number / rate for number in range(int(rate * seconds)))
    return sum(limiter.admit(at, 1) is not None for at in times) / seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bucket:50/s", 51),  # a burst of one second's worth in a minute
        ("bucket:50/s,burst=0", 50),
        ("bucket:rate=3000/min,burst=0", 50),
        ("bucket:180000/h,burst=0", 50),
        ("fixed:50/s", 50),
        ("fixed:50/s,window=60", 50),
        ("sliding:50/s,window=10", 50),
        ("sliding:50/s,window=10,count-refused", 500 / 60),
        ("nodes:50/s,nodes=5,burst=0.2", 50),
        ("tenants:50/s,left=100%,burst=0", 50),
        ("tenants:50/s,left=60%,every=1,burst=0.2", 40),
        ("shed:50%", 50),
        ("hot:50%,limit=10/s,burst=0", 60),
        ("at-once:1", 100),
        ("leaky:50/s,queue=0.1", 50),
        ("shed:75%+bucket:50/s", 25),
        ("bucket:50/s,burst=0 + shed:75%", 12.5),
    ],
)
def test_a_text_describes_a_limiter(text: str, expected: float) -> None:
    assert accepted(parse_limiter(text).make(Random(1)), 100.0) == pytest.approx(expected, rel=0.06)


def test_uneven_nodes_fill_up_one_after_the_other() -> None:
    even, uneven = (parse_limiter(f"nodes:50/s,nodes=4{word}").make(Random(1)) for word in ("", ",uneven"))
    assert accepted(uneven, 45.0) < 0.95 * accepted(even, 45.0)


def test_the_same_seed_makes_the_same_refusals() -> None:
    spec = parse_limiter("shed:30%+nodes:50/s,nodes=4+tenants:50/s+hot:10%,limit=1/s")
    one, same, other = (spec.make(Random(seed)) for seed in (1, 1, 2))
    decisions = [[limiter.admit(BEGIN + at / 50, 1) for at in range(500)] for limiter in (one, same, other)]
    assert decisions[0] == decisions[1]
    assert decisions[0] != decisions[2]


def test_a_limiter_may_be_made_again_and_again() -> None:
    spec = parse_limiter("fixed:1/s,window=60")
    for _ in range(2):
        assert spec.make(Random(1)).admit(BEGIN, 1) == 0.0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", f"must begin with a kind and a colon: {', '.join(KINDS)}; got ''"),
        ("500/s", "must begin with a kind and a colon: .*; got '500/s'"),
        ("fixd:500/s", "must begin with a kind and a colon: .*; got 'fixd:500/s'"),
        ("shed:1%+", "must begin with a kind and a colon: .*; got ''"),
        ("fixed:", "must give 'rate' as a rate above 0, such as 500/s, 3000/min or 10000/h; got ''"),
        ("fixed:500", "must give 'rate' as a rate above 0, such as 500/s, 3000/min or 10000/h; got '500'"),
        ("fixed:0/s", "must give 'rate' as a rate above 0, .*; got '0/s'"),
        ("fixed:nan/s", "must give 'rate' as a rate above 0, .*; got 'nan/s'"),
        ("bucket:1/s,burst=-1", "must give 'burst' as 0 seconds or more, such as 0.1; got '-1'"),
        ("fixed:500/s,window=0", "must give 'window' as seconds above 0, such as 10; got '0'"),
        ("fixed:500/s,burst=1", r"must have the form fixed:RATE\[,window=SECONDS\]; got 'fixed:500/s,burst=1'"),
        ("fixed:500/s,window=1,window=2", r"must have the form fixed:RATE\[,window=SECONDS\]; got .*"),
        ("fixed:window=10", r"must have the form fixed:RATE\[,window=SECONDS\]; got 'fixed:window=10'"),
        ("nodes:500/s", r"must have the form nodes:RATE,nodes=N\[,burst=SECONDS\]\[,uneven\]; got 'nodes:500/s'"),
        ("nodes:500/s,nodes=2,uneven=1", "must have the form nodes:.*"),
        ("nodes:500/s,nodes", "must have the form nodes:.*"),
        ("nodes:500/s,nodes=1.5", "must give 'nodes' as a whole number from 1 to 10000; got '1.5'"),
        ("at-once:0", "must give 'most' as a whole number from 1 to 10000; got '0'"),
        ("shed:5", "must give 'share' as a share from 0% to 100%, such as 0.5%; got '5'"),
        ("shed:101%", "must give 'share' as a share from 0% to 100%, such as 0.5%; got '101%'"),
        ("fixed:10/h,window=60", "must allow at least one request in a window of 60 s"),
        ("fixed:1e308/s,window=60", "must allow fewer requests in a window of 60 s"),
    ],
)
def test_a_wrong_text_is_explained_in_one_sentence(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        parse_limiter(text)


@pytest.mark.parametrize("name", KINDS)
def test_an_unknown_option_shows_the_form_of_the_kind(name: str) -> None:
    with pytest.raises(ValueError, match=f"^must have the form {name}:"):
        parse_limiter(f"{name}:else=1")


def test_the_window_is_the_longest_of_the_series() -> None:
    assert parse_limiter("fixed:5/s,window=10+sliding:5/s+bucket:5/s").window == 10
    assert parse_limiter("shed:5%").window == 0
