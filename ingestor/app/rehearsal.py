"""A rehearsal and the real thing are two batches, though platform, workspace and name are the same."""

from ingestor.api.endpoint import Endpoint
from ingestor.journal.reader import is_rehearsal
from ingestor.model.errors import UsageError
from ingestor.policy.identity import Scope
from ingestor.settings.options import Settings


def refuse_a_mixed_batch(settings: Settings, scope: Scope, endpoint: Endpoint) -> None:
    """Raise UsageError where a batch that went to a server on this machine would go on elsewhere, or the reverse.

    Its records would count as done, and the real service would never see them.
    """
    before, now = is_rehearsal(settings.state, scope), endpoint.is_on_this_machine
    if before is None or before == now:
        return
    places = ("another machine", "this machine")
    raise UsageError(
        f"The runs of batch {scope.batch} in {settings.state} were created on {places[before]}, and {endpoint.display} "
        f"is on {places[now]}: its records would count as done. Give this one a --batch or a --state of its own."
    )
