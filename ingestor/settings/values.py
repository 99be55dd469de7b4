"""The kinds of values that options take. Each rejects invalid values with a message that begins with "must"."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, SecretStr, Tag

from ingestor.api import values
from ingestor.app.on_done import OnDone
from ingestor.app.options import (
    LEAST_LOG_SIZE,
    MOST_CONCURRENCY,
    batch_name,
    budget_exit,
    one_for_each_core,
    to_path,
)
from ingestor.server import address as listen


class Output(StrEnum):
    """The form of what a command prints on standard output."""

    TEXT = "text"
    JSON = "json"


def one_line(text: str) -> str:
    """Return a line of text."""
    if not text or text != text.strip() or not text.isprintable():
        raise ValueError("must be one line of printable text, without spaces around it")
    return text


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("must not be an empty name")
    return text


def _accept_address(text: str) -> str:
    return str(listen.address(text))


def _listen_address(text: str) -> str:
    return str(listen.tcp_address(text))


def _on_done(text: str) -> str:
    OnDone.parse(text)
    return text


def _host_names(text: str) -> str:
    return ",".join(listen.host_name(name.strip()) for name in text.split(","))


def _path(value: object) -> object:
    return to_path(value) if isinstance(value, str | Path) else value


def _token(secret: SecretStr) -> SecretStr:
    return SecretStr(values.token(secret.get_secret_value()))


def _password(secret: SecretStr) -> SecretStr:
    return SecretStr(values.password(secret.get_secret_value()))


def _no_switch(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")  # noqa: TRY004 -- pydantic turns ValueErrors into its own
    return value


def _auto_or_number(value: object) -> object:
    if isinstance(value, str) and value != "auto" and not value.strip().lstrip("+-").isdigit():
        raise ValueError(f"must be auto or a whole number, got {' '.join(value.split())}")
    return value


def _counted(value: object) -> object:
    return one_for_each_core() if value == "auto" else value


ListenAddress = Annotated[str, AfterValidator(_listen_address)]
HostNames = Annotated[str, AfterValidator(_host_names)]
AcceptAddress = Annotated[str, AfterValidator(_accept_address)]
Region = Annotated[str, AfterValidator(values.region)]
Address = Annotated[str, AfterValidator(values.address)]
PathSegment = Annotated[str, AfterValidator(values.path_segment)]
OneLine = Annotated[str, AfterValidator(one_line)]
NotEmpty = Annotated[str, AfterValidator(_not_empty)]


BatchName = Annotated[str, AfterValidator(batch_name)]
LocalPath = Annotated[Path, BeforeValidator(_path)]
Token = Annotated[SecretStr, AfterValidator(_token)]
Password = Annotated[SecretStr, AfterValidator(_password)]
HeaderText = Annotated[str, AfterValidator(values.header_text)]
UserName = Annotated[str, AfterValidator(values.user_name)]
LoopbackHost = Annotated[str, AfterValidator(values.loopback_host)]
_Whole = Annotated[int, BeforeValidator(_no_switch)]
_Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_switch)]
Port = Annotated[_Whole, Field(ge=0, le=65535)]
OnDoneText = Annotated[str, AfterValidator(_on_done)]
BudgetExit = Annotated[_Whole, AfterValidator(budget_exit)]
Count = Annotated[_Whole, Field(ge=1)]
LogSize = Annotated[_Whole, Field(ge=LEAST_LOG_SIZE)]
Natural = Annotated[_Whole, Field(ge=0, le=10_000)]
Concurrency = Annotated[
    Annotated[Literal["auto"], Tag("auto")] | Annotated[Count, Field(le=MOST_CONCURRENCY), Tag("number")],
    Discriminator(lambda value: "auto" if value == "auto" else "number"),
    BeforeValidator(_auto_or_number),
]
Senders = Annotated[_Whole, Field(ge=0, le=256), BeforeValidator(_counted)]
Positive = Annotated[_Number, Field(gt=0)]
NotNegative = Annotated[_Number, Field(ge=0)]
Share = Annotated[_Number, Field(ge=0, le=1)]
