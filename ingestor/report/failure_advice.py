"""What to do about records that ended for one reason, in a sentence."""

from ingestor.model.record import Outcome
from ingestor.report.errors import RETRIED, ErrorCount

_OF_OUTCOME = {
    Outcome.REJECTED: "Fix the input and run the same command again. The file of rejected records has every one, with "
    "its reason.",
    Outcome.PARTIAL: "The runs exist. `ingestor results --outcome partial{selection}` shows what the service "
    "refused of each.",
    Outcome.UNRESOLVED: "`ingestor reconcile`, with the same settings, finds out whether their runs exist.",
}
_NO_EXPERIMENT = (
    "Check that the experiment exists, and that this principal may create runs in it. The same command then sends "
    "these records again."
)
_NO_CREDENTIALS = "Check the credentials and their rights. The same command then sends these records again."
_FAILED = (
    "The same command sends them again. If the service keeps refusing them, fix the records, or give them up with "
    "`ingestor forget --outcome failed{selection}`."
)


def advice_about(error: ErrorCount, selection: str = "") -> str:
    """Return what to do; "" if nothing is to do, because the record was or will be sent again.

    `selection` are the options that name the batch to a command, each after a blank.
    """
    return "" if error.cost == RETRIED else _advice(error).replace("{selection}", selection)


def _advice(error: ErrorCount) -> str:
    if error.cost == Outcome.FAILED:
        return {401: _NO_CREDENTIALS, 403: _NO_EXPERIMENT, 404: _NO_EXPERIMENT}.get(error.http_status or 0, _FAILED)
    return _OF_OUTCOME[Outcome(error.cost)]
