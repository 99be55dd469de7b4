"""The checks of `ingestor doctor`, in the order in which their results are shown."""

from ingestor.app.doctor.access import access, clock, experiments
from ingestor.app.doctor.check import Check, blocking
from ingestor.app.doctor.credentials import credentials
from ingestor.app.doctor.finding import Grade
from ingestor.app.doctor.limits import limits
from ingestor.app.doctor.network import authorities, connection, dns, proxy, service, tls
from ingestor.app.doctor.places import places
from ingestor.app.doctor.settings import settings, target
from ingestor.app.doctor.sources import sources
from ingestor.app.doctor.state import journal, state

CHECKS = (
    Check(name="settings", look=blocking(settings)),
    Check(name="target", look=blocking(target), needs=("settings",)),
    # A principal fetches a token, for 30 seconds at most.
    Check(name="credentials", look=blocking(credentials), needs=("target",), seconds=40.0),
    Check(name="proxy", look=blocking(proxy), needs=("target",)),
    Check(name="authorities", look=blocking(authorities), needs=("proxy",)),
    Check(name="dns", look=dns, needs=("proxy",), online=True, late=Grade.PROBLEM),
    Check(
        name="connection",
        look=connection,
        needs=("dns", "authorities"),
        after=("credentials",),
        online=True,
        seconds=60.0,  # it fetches a principal's token again
        late=Grade.PROBLEM,
    ),
    Check(name="tls", look=blocking(tls), needs=("connection",), online=True),
    Check(name="service", look=blocking(service), needs=("tls",), online=True),
    Check(name="clock", look=blocking(clock), needs=("service",), online=True),
    Check(name="access", look=blocking(access), needs=("credentials", "service", "clock"), online=True),
    Check(name="experiments", look=experiments, needs=("access",), after=("sources",), online=True, seconds=30.0),
    Check(name="state", look=blocking(state), needs=("settings",), late=Grade.PROBLEM),
    Check(name="journal", look=blocking(journal), needs=("state",), seconds=30.0),
    Check(name="sources", look=blocking(sources), needs=("settings",), seconds=30.0),
    Check(name="places", look=blocking(places), needs=("state",)),
    Check(name="limits", look=blocking(limits)),
)


def checks(*, offline: bool) -> list[Check]:
    """Return all checks, or those that send nothing."""
    return [it for it in CHECKS if not (offline and it.online)]
