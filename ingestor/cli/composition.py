"""Settings into what the commands take: where to send, how, and what to print."""

from dataclasses import fields

from pydantic import SecretStr

from ingestor.app.options import BatchOptions
from ingestor.app.target import Credentials, Target, aidp, mlflow
from ingestor.app.terminal import Terminal
from ingestor.report.progress import Mode
from ingestor.settings.options import Settings
from ingestor.settings.values import Output


def target_of(settings: Settings) -> Target:
    """Return where runs go. Raises UsageError."""
    credentials = Credentials(
        auth=settings.auth.value,
        oci_config=settings.oci_config,
        oci_profile=settings.oci_profile,
        oci_passphrase=_revealed(settings.oci_passphrase),
        bearer_token=_revealed(settings.bearer_token),
        bearer_token_file=settings.bearer_token_file,
        user_principal=settings.dh_user_principal,
    )
    if settings.tracking_uri is not None:
        return mlflow(settings.tracking_uri, **credentials)
    return aidp(
        platform_id=settings.platform_id or "",
        workspace=settings.workspace or "",
        region=settings.region,
        endpoint=settings.endpoint,
        **credentials,
    )


def options_of(settings: Settings) -> BatchOptions:
    """Return how the batch is done. Every option has the name of its setting, but for `follow`."""
    names = {field.name for field in fields(BatchOptions)} - {"wait_for_service"}
    return BatchOptions(**{name: getattr(settings, name) for name in names}, wait_for_service=settings.follow)


def terminal_of(settings: Settings) -> Terminal:
    """Return what the command prints."""
    return Terminal(json=settings.output is Output.JSON, progress=Mode(settings.progress))


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
