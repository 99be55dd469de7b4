"""Imports the history of ML experiments into Oracle AI Data Platform: every record becomes exactly one run.

    import ingestor

    target = ingestor.aidp(region="us-ashburn-1", platform_id="ocid1.aidataplatform...", workspace="my-workspace")
    report = ingestor.ingest_sync("runs.jsonl", target)
    print(report.counts, report.exit_code)

Names are loaded when they are first used, so that the import is cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingestor.app.forget import Forgotten, forget
    from ingestor.app.library import (
        CheckReport,
        Report,
        check,
        ingest,
        ingest_sync,
        reconcile,
        reconcile_sync,
        results,
    )
    from ingestor.app.target import Target, aidp, mlflow
    from ingestor.model.errors import (
        CredentialsError,
        ExitCode,
        IngestorError,
        JournalError,
        JournalLostError,
        JournalVersionError,
        SpoolError,
        StateInUseError,
        UsageError,
    )

__version__ = "0.1.0"

__all__ = [
    "CheckReport",
    "CredentialsError",
    "ExitCode",
    "Forgotten",
    "IngestorError",
    "JournalError",
    "JournalLostError",
    "JournalVersionError",
    "Report",
    "SpoolError",
    "StateInUseError",
    "Target",
    "UsageError",
    "aidp",
    "check",
    "forget",
    "ingest",
    "ingest_sync",
    "mlflow",
    "reconcile",
    "reconcile_sync",
    "results",
]

_MODULES = {"Target": "target", "aidp": "target", "mlflow": "target", "Forgotten": "forget", "forget": "forget"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'ingestor' has no attribute {name!r}")
    if name == "ExitCode" or name.endswith("Error"):
        module = "ingestor.model.errors"
    else:
        module = f"ingestor.app.{_MODULES.get(name, 'library')}"
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
