"""A batch at one moment, in numbers and in words."""

from dataclasses import dataclass

from ingestor.report.text import printable, spell_count, spell_duration, spell_rate


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is sent for `seconds` more. `reason` may quote the service (hostile text)."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A batch at one moment.

    `done` records have an outcome; `total` is an estimate from the bytes read, exact once all are, None where the
    size of the input is not known. `rate` is records a second, lately; `eta` the seconds left at that rate.
    """

    done: int
    total: int | None
    rate: float
    eta: float | None
    throttled: int
    pause: Pause | None


def describe(snapshot: Snapshot) -> str:
    """Put a snapshot in words: `1,200 of about 5,000 records, 400/s, 429s 3, 9.5 s left`."""
    records = spell_count(snapshot.done, "record")
    if snapshot.total is not None:
        records = f"{snapshot.done:,} of about {spell_count(snapshot.total, 'record')}"
    parts = [records, spell_rate(snapshot.rate), f"429s {snapshot.throttled:,}"]
    if snapshot.pause is not None:
        parts.append(describe_pause(snapshot.pause))
    elif snapshot.eta is not None:
        parts.append(f"{spell_duration(snapshot.eta)} left")
    return ", ".join(parts)


def describe_pause(pause: Pause) -> str:
    """Put a pause in words, made printable."""
    return f"paused for {spell_duration(pause.seconds)}: {printable(pause.reason, 80)}"
