"""What this machine gives the process: open files, cores, memory."""

import resource
from collections.abc import Iterator, Sequence

from ingestor.app.doctor.finding import Finding, ok, problem, warning
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.limits import NEEDED, most_in_flight
from ingestor.app.machine import cores, memory
from ingestor.report.text import spell_count, spell_size

LITTLE_MEMORY = 256 * 1024**2
"""Bytes that a batch with one sender should have."""


def limits(subject: Subject, _: Facts) -> Sequence[Finding]:
    """Report limits that a run would meet."""
    options = subject.options
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = "no limit of" if hard == resource.RLIM_INFINITY else f"{hard:,}"
    found = list(of_files(hard, others=NEEDED + options.senders, slots=most_in_flight(options)))
    found += of_memory(memory())
    size = "" if memory() is None else f", {spell_size(memory() or 0)} of memory"
    return found or [ok(f"{files} open files, {spell_count(cores(), 'core')}{size}")]


def of_files(hard: int, *, others: int, slots: int) -> Iterator[Finding]:
    """Report whether so many open files are enough for so many slots, besides the other files."""
    if hard == resource.RLIM_INFINITY or hard >= others + slots:
        return
    advice = f"Raise ulimit -n to {others + slots:,}."
    if hard <= others:
        yield problem(f"The limit of open files is {hard:,}, and a run needs {others + 1:,}.", advice=advice)
    else:
        yield warning(f"The limit of open files, {hard:,}, allows only {hard - others:,} in flight.", advice=advice)


def of_memory(size: int | None) -> Iterator[Finding]:
    """Report whether so many bytes of memory are enough."""
    if size is not None and size < LITTLE_MEMORY:
        yield warning(
            f"Only {spell_size(size)} of memory are left for this process.",
            why=f"The system may end it; it should have {spell_size(LITTLE_MEMORY)}.",
            advice="Give it more, or lower --senders and --concurrency.",
        )
