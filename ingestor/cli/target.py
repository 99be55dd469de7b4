"""The target that the settings describe, and what can be found wrong with it without a request."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ingestor.app.messages import warn
from ingestor.model.errors import CredentialsError
from ingestor.settings.load import Loaded
from ingestor.settings.options import Settings
from ingestor.settings.rules import target_problems

if TYPE_CHECKING:
    from ingestor.app.target import Target


def target_of(settings: Settings) -> "Target":
    """Return where the runs are created. Raises UsageError."""
    from ingestor.app.target import Credentials, aidp, mlflow

    credentials = Credentials(
        auth=settings.auth,
        oci_config=settings.oci_config,
        oci_profile=settings.oci_profile,
        oci_passphrase=_revealed(settings.oci_passphrase),
        bearer_token=_revealed(settings.bearer_token),
        bearer_token_file=settings.bearer_token_file,
        basic_username=settings.basic_username,
        basic_password=_revealed(settings.basic_password),
        user_principal=settings.dh_user_principal,
    )
    if settings.tracking_uri is not None:
        return mlflow(settings.tracking_uri, ca_file=settings.ca_file, **credentials)
    return aidp(
        platform_id=settings.platform_id or "",
        workspace=settings.workspace or "",
        region=settings.region,
        endpoint=settings.endpoint,
        ca_file=settings.ca_file,
        **credentials,
    )


def target_for_sending(settings: Settings) -> "Target":
    """Return the target of a command that sends, after a warning for each file with secrets that others can read.

    Raises UsageError.
    """
    from ingestor.api.exposure import exposed_files
    from ingestor.app.target import check_address

    target = target_of(settings)
    check_address(target)
    for exposed in exposed_files(target.auth, tokens_of(settings).values()):
        warn(exposed)
    return target


def tokens_of(settings: Settings) -> dict[str, Path]:
    """Return the files with the tokens that others must send to this program, by option."""
    files = {"--accept-token-file": settings.accept_token_file, "--listen-token-file": settings.listen_token_file}
    return {option: file for option, file in files.items() if file is not None}


def problems_before_a_request(loaded: Loaded) -> list[str]:
    """Return what is missing for a batch, or wrong with its credentials: all that can be found without a request.

    Raises UsageError for a setting that is wrong wherever it is used.
    """
    problems = list(target_problems(dict(loaded.settings), loaded.spell))
    if problems:
        return problems
    from ingestor.app.target import check_without_request

    try:
        check_without_request(target_of(loaded.settings))
    except CredentialsError as error:
        return [str(error)]
    return []


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
