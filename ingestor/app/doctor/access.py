"""What the service says: its clock, whether it accepts the credentials and has the workspace, and the experiments."""

from collections import Counter
from collections.abc import Sequence

from ingestor.api.service import HttpService
from ingestor.app.doctor.finding import Finding, ok, problem, warning
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.experiments import Questions, problem_of, quiet_pacer
from ingestor.model.text import printable
from ingestor.policy.advice import CLOCK_SKEW
from ingestor.report.text import spell_count, spell_duration

_NOISE = 2.0  # seconds: the answer's Date is a whole second, and the answer took some time
_NOTABLE = 30.0
MOST_ASKED = 20
"""Experiments that are asked for: the most frequent ones of the first records."""
_SHOWN = 5


def clock(subject: Subject, facts: Facts) -> Finding:
    """Compare this machine's clock with the service's."""
    skew = facts.known_answer.reply.clock_skew
    if skew is None:
        return ok("not known: the answer has no Date header")
    size = spell_duration(abs(skew))
    words = f"this machine's clock is {size} {'slow' if skew > 0 else 'fast'}" if abs(skew) >= _NOISE else "right"
    if abs(skew) > CLOCK_SKEW and subject.known_target.auth.kind.signs:
        return problem(
            f"This machine's clock is {size} {'slow' if skew > 0 else 'fast'}.",
            why=f"OCI refuses a signature that differs by more than {CLOCK_SKEW:.0f} seconds from its clock.",
            advice="Set the clock right; a time service such as chrony keeps it right.",
        )
    if abs(skew) > _NOTABLE:
        return warning(words, why="Times in the log do not fit those of the service.", advice="Set the clock right.")
    return ok(words)


def access(subject: Subject, facts: Facts) -> Finding:
    """Report whether the service accepts the credentials, and has the target."""
    target, answer = subject.known_target, facts.known_answer
    if answer.reply.status == 429:
        return warning("not known: the service refuses requests for the moment (429)", advice="Try again later.")
    if (halt := problem_of(answer.reply, target.access)) is not None:
        return problem(halt.reason, advice=halt.advice)
    place = f"workspace {printable(target.workspace)}" if target.workspace else "server"
    return ok(f"the credentials are accepted, and the {place} answers a search")


async def experiments(subject: Subject, facts: Facts) -> Sequence[Finding] | Finding:
    """Ask for the experiments that the first records name."""
    wanted = Counter(dict(facts.experiments.most_common(MOST_ASKED)))
    if not wanted:
        return ok("none are named by the records that were looked at")
    target = subject.known_target
    async with HttpService(target.connection(connections=1, timeout=subject.options.timeout)) as service:
        found = await Questions(service, quiet_pacer(subject.options.rate)).compare(wanted)
    if found.not_asked:
        return warning(f"{spell_count(found.not_asked, 'experiment')} not known: {found.why_not_asked}")
    bad = {**found.missing, **found.deleted}
    if not bad:
        return ok(f"{spell_count(len(wanted), 'experiment')} of the first records can take runs")
    names = ", ".join(map(printable, list(bad)[:_SHOWN])) + (" and more" if len(bad) > _SHOWN else "")
    words = f"{len(bad):,} of {spell_count(len(wanted), 'experiment')} are missing or deleted: {names}"
    advice = "Create or restore them, or change experiment_id; `ingestor check --online` lists all."
    if len(bad) == len(wanted):
        return problem(words, why="Every record would be refused.", advice=advice)
    return warning(words, why="Their records would fail.", advice=advice)
