"""`ingestor forget`, from its options."""

from ingestor.api.values import server_name
from ingestor.app.forget import Selection, run_forget
from ingestor.model.record import Outcome
from ingestor.settings.commands import ForgetOptions
from ingestor.settings.options import Settings
from ingestor.settings.values import Output


def forget(own: ForgetOptions, settings: Settings, batch: str | None) -> int:
    """Forget records of the batch with this name, or of the only one. Raises IngestorError."""
    selection = Selection(
        job_ids=own.job_id,
        outcome=None if own.outcome is None else Outcome(own.outcome),
        batch=batch,
        platform=settings.platform_id if settings.tracking_uri is None else server_name(settings.tracking_uri),
        workspace=settings.workspace,
        rejects=settings.rejects,
    )
    return run_forget(
        settings.state,
        selection,
        undo=own.undo,
        allow_network_state=settings.allow_network_state,
        as_json=settings.output is Output.JSON,
    )
