"""The kinds of values that options take. Each refuses what it can't use, in words that begin with "must"."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from ingestor.app import values
from ingestor.app.options import one_for_each_core


class Auth(StrEnum):
    """How requests are authenticated."""

    API_KEY = "api-key"
    SESSION_TOKEN = "session-token"  # noqa: S105 -- a name, not a token
    INSTANCE_PRINCIPAL = "instance-principal"
    RESOURCE_PRINCIPAL = "resource-principal"
    WORKLOAD_IDENTITY = "workload-identity"
    BEARER = "bearer"
    NONE = "none"


class Output(StrEnum):
    """The form of what a command prints on standard output."""

    TEXT = "text"
    JSON = "json"


class Progress(StrEnum):
    """Whether progress is shown on standard error. AUTO: where that is a terminal."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


def _path(value: object) -> object:
    if isinstance(value, str | Path) and (not str(value) or "\0" in str(value)):
        raise ValueError("must be a path")
    return value


def _home_expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ValueError("must not begin with ~: there is no such home directory") from None


def _token(secret: SecretStr) -> SecretStr:
    return SecretStr(values.token(secret.get_secret_value()))


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 -- pydantic turns ValueErrors into its own
    return value


def _counted(value: object) -> object:
    return one_for_each_core() if value == "auto" else value


Region = Annotated[str, AfterValidator(values.region)]
Address = Annotated[str, AfterValidator(values.address)]
PathSegment = Annotated[str, AfterValidator(values.path_segment)]
OneLine = Annotated[str, AfterValidator(values.one_line)]
BatchName = Annotated[str, AfterValidator(values.batch_name)]
LocalPath = Annotated[Path, BeforeValidator(_path), AfterValidator(_home_expanded)]
Token = Annotated[SecretStr, AfterValidator(_token)]
LoopbackHost = Annotated[str, AfterValidator(values.loopback_host)]
_Whole = Annotated[int, BeforeValidator(_no_switch)]
_Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_switch)]
Port = Annotated[_Whole, Field(ge=0, le=65535)]
Count = Annotated[_Whole, Field(ge=1)]
Senders = Annotated[_Whole, Field(ge=0, le=256), BeforeValidator(_counted)]
Positive = Annotated[_Number, Field(gt=0)]
NotNegative = Annotated[_Number, Field(ge=0)]
Share = Annotated[_Number, Field(ge=0, le=1)]
