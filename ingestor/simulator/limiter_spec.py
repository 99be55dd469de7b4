"""The text that describes a limiter, such as `shed:1%+bucket:500/s,burst=0.1`.

A limiter is a kind, a colon, and its options, separated by commas. The first option needs no name. `+` joins several
limiters: a request passes one after the other. `KINDS` has all kinds and their options.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf, isfinite
from random import Random
from types import MappingProxyType

from ingestor.simulator.limiters import (
    AtOnce,
    FixedWindow,
    HotKey,
    InSeries,
    LeakyBucket,
    Limiter,
    Nodes,
    Shedding,
    SlidingWindow,
    TokenBucket,
)

_SECONDS_OF: Mapping[str, float] = MappingProxyType({"s": 1.0, "min": 60.0, "h": 3600.0})
_CHANGES = 500
"""How many random shares `tenants` has before they repeat."""

Options = Mapping[str, float]
"""The options of one limiter, by name. Rates are a second, shares are fractions, a switch is 0 or 1."""


def _number(text: str, *, least: float, most: float = inf) -> float:
    number = float(text)
    if not (isfinite(number) and least <= number <= most):
        raise ValueError(text)
    return number


def _rate(text: str) -> float:
    number, _, unit = text.partition("/")
    if unit not in _SECONDS_OF:
        raise ValueError(text)
    return _number(number, least=1e-6) / _SECONDS_OF[unit]


def _share(text: str) -> float:
    if not text.endswith("%"):
        raise ValueError(text)
    return _number(text[:-1], least=0, most=100) / 100


@dataclass(frozen=True, slots=True)
class Unit:
    """The unit of an option: its word in a form, what is expected, and how it is read. `read` raises ValueError."""

    word: str
    expected: str
    read: Callable[[str], float]


RATE = Unit("RATE", "a rate above 0, such as 500/s, 3000/min or 10000/h", _rate)
SHARE = Unit("SHARE", "a share from 0% to 100%, such as 0.5%", _share)
SECONDS = Unit("SECONDS", "0 seconds or more, such as 0.1", lambda text: _number(text, least=0))
LENGTH = Unit("SECONDS", "seconds above 0, such as 10", lambda text: _number(text, least=0.001))
COUNT = Unit("N", "a whole number from 1 to 10000", lambda text: _number(str(int(text)), least=1, most=10_000))


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a kind. `unit` None: a switch. `default` None: the option is required."""

    name: str
    unit: Unit | None = None
    default: float | None = 0.0

    @property
    def form(self) -> str:
        """How the option is written, such as `window=SECONDS`."""
        return f"{self.name}={self.unit.word}" if self.unit else self.name


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of limiter: what it does, its options, the first of which needs no name, and what makes it."""

    purpose: str
    options: tuple[Option, ...]
    make: Callable[[Options, Random], Limiter]

    @property
    def form(self) -> str:
        """How the options are written, such as `RATE[,window=SECONDS]`."""
        first, *others = self.options
        words = [f",{option.form}" if option.default is None else f"[,{option.form}]" for option in others]
        return f"{first.form.partition('=')[2]}{''.join(words)}"


def _quota(options: Options) -> int:
    quota = options["rate"] * options["window"]
    if not isfinite(quota):
        raise ValueError(f"must allow fewer requests in a window of {options['window']:g} s")
    if round(quota) < 1:
        raise ValueError(f"must allow at least one request in a window of {options['window']:g} s")
    return round(quota)


def _fixed(options: Options, _: Random) -> Limiter:
    return FixedWindow(_quota(options), options["window"])


def _sliding(options: Options, _: Random) -> Limiter:
    return SlidingWindow(_quota(options), options["window"], count_refused=bool(options["count-refused"]))


def _nodes(options: Options, random: Random) -> Limiter:
    count = int(options["nodes"])
    buckets = [TokenBucket(options["rate"] / count, options["burst"]) for _ in range(count)]
    return Nodes(buckets, random, range(count, 0, -1) if options["uneven"] else None)


def _tenants(options: Options, random: Random) -> Limiter:
    left, every = options["left"], options["every"]
    rates = [options["rate"] * random.uniform(left, 1) for _ in range(_CHANGES)]
    return TokenBucket(lambda now: rates[int(now / every) % _CHANGES], options["burst"])


def _hot(options: Options, random: Random) -> Limiter:
    return HotKey(options["share"], TokenBucket(options["limit"], options["burst"]), random)


_RATE = Option("rate", RATE, None)
_BURST = Option("burst", SECONDS, 1.0)
_WINDOW = Option("window", LENGTH, 1.0)

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "bucket": Kind(
            "a token bucket, as --limit; what was not used in the last SECONDS (1 second) may come at once",
            (_RATE, _BURST),
            lambda options, _: TokenBucket(options["rate"], options["burst"]),
        ),
        "fixed": Kind("a quota for each window; a new one begins full (window: 1 second)", (_RATE, _WINDOW), _fixed),
        "sliding": Kind(
            "a quota for any window (1 second); with count-refused, refused requests use it up too",
            (_RATE, _WINDOW, Option("count-refused")),
            _sliding,
        ),
        "nodes": Kind(
            "N nodes with a bucket each, and a random node for each request; uneven: some nodes more often",
            (_RATE, Option("nodes", COUNT, None), _BURST, Option("uneven")),
            _nodes,
        ),
        "tenants": Kind(
            "a bucket that others use too: from SHARE (60%) to 100% of it is left, new every 3 seconds",
            (_RATE, Option("left", SHARE, 0.6), Option("every", LENGTH, 3.0), _BURST),
            _tenants,
        ),
        "shed": Kind(
            "refuses this share of the requests at random",
            (Option("share", SHARE, None),),
            lambda options, random: Shedding(options["share"], random),
        ),
        "hot": Kind(
            "this share of the requests, chosen at random, has a bucket of its own; the others are accepted",
            (Option("share", SHARE, None), Option("limit", RATE, None), _BURST),
            _hot,
        ),
        "at-once": Kind(
            "refuses a request while N others are in flight, as --concurrency",
            (Option("most", COUNT, None),),
            lambda options, _: AtOnce(int(options["most"])),
        ),
        "leaky": Kind(
            "serves one request after the other; the others wait up to SECONDS (1 second), or are refused",
            (_RATE, Option("queue", SECONDS, 1.0)),
            lambda options, _: LeakyBucket(options["rate"], options["queue"]),
        ),
    }
)
"""All kinds of limiters, by the word that begins their text."""


@dataclass(frozen=True, slots=True)
class LimiterSpec:
    """What a text describes: the kinds, each with the values of all its options."""

    text: str
    series: tuple[tuple[str, Options], ...]

    def make(self, random: Random) -> Limiter:
        """Return a new limiter. Everything random in it comes from `random`."""
        limiters = [KINDS[kind].make(options, random) for kind, options in self.series]
        return limiters[0] if len(limiters) == 1 else InSeries(limiters)

    @property
    def window(self) -> float:
        """The longest window in seconds; 0 without any."""
        return max(options.get("window", 0.0) for _, options in self.series)

    def __str__(self) -> str:
        return self.text


def parse_limiter(text: str) -> LimiterSpec:
    """Return the limiter that a text describes. Raises ValueError with a message that begins with "must"."""
    spec = LimiterSpec(text, tuple(_parse_one(one.strip()) for one in text.split("+")))
    spec.make(Random(0))  # noqa: S311 - it checks that the options fit together
    return spec


def _parse_one(text: str) -> tuple[str, Options]:
    name, colon, rest = text.partition(":")
    if not colon or name not in KINDS:
        raise ValueError(f"must begin with a kind and a colon: {', '.join(KINDS)}; got {text!r}")
    kind, values = KINDS[name], dict[str, float]()
    options = {option.name: option for option in kind.options}
    for number, word in enumerate(rest.split(",")):
        key, equals, value = word.strip().partition("=")
        if number == 0 and not equals:
            key, equals, value = kind.options[0].name, "=", key
        if key not in options or key in values or bool(equals) != bool(options[key].unit):
            raise ValueError(f"must have the form {name}:{kind.form}; got {text!r}")
        values[key] = _read(options[key], value)
    if any(option.default is None and option.name not in values for option in kind.options):
        raise ValueError(f"must have the form {name}:{kind.form}; got {text!r}")
    return name, {option.name: values.get(option.name, option.default or 0.0) for option in kind.options}


def _read(option: Option, value: str) -> float:
    if option.unit is None:
        return 1.0
    try:
        return option.unit.read(value)
    except ValueError:
        raise ValueError(f"must give {option.name!r} as {option.unit.expected}; got {value!r}") from None
