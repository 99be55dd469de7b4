"""Any valid value makes the same settings by flag, by environment and by file."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ingestor.api.values import AuthKind
from ingestor.cli.commands import parser_of
from ingestor.cli.pages import COMMANDS
from ingestor.report.progress import Mode
from ingestor.settings.load import load
from ingestor.settings.options import Settings, flag_of, option_of, variable_of
from ingestor.settings.values import Output
from tests.settings.environment import environment

LETTERS = st.characters(exclude_categories=("C", "Z"), exclude_characters="/")
WORDS = st.text(LETTERS, min_size=1, max_size=30).filter(lambda text: text not in {".", ".."})
ASCII_WORDS = st.text(st.characters(codec="ascii", exclude_categories=("C", "Z")), min_size=1, max_size=30)
IDENTIFIERS = WORDS.filter(lambda text: "…" not in text and text[0] not in ".<{$" and text not in {"OCID", "KEY"})
PATHS = st.text(LETTERS | st.sampled_from("/ -"), min_size=1, max_size=30).filter(lambda text: text[0] != "~")
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False) | st.integers(1, 10**9)
NAMES = st.from_regex(r"[a-z]{2}-[a-z]+-[1-9]", fullmatch=True)
ADDRESSES = st.builds("http{}://{}.example:{}".format, st.sampled_from(["", "s"]), NAMES, st.integers(1, 65535))

VALUES: dict[str, st.SearchStrategy[object]] = {
    "region": NAMES,
    "endpoint": ADDRESSES,
    "platform_id": IDENTIFIERS,
    "workspace": IDENTIFIERS,
    "tracking_uri": ADDRESSES,
    "dh_user_principal": ASCII_WORDS,
    "ca_file": PATHS,
    "auth": st.sampled_from([str(auth) for auth in AuthKind]),
    "oci_config": PATHS,
    "oci_profile": WORDS,
    "bearer_token_file": PATHS,
    "basic_username": WORDS.filter(lambda text: ":" not in text),
    "batch": st.text(LETTERS | st.just(" "), min_size=1, max_size=100),
    "state": PATHS,
    "stamp": st.booleans(),
    "retry_tokens": st.booleans(),
    "allow_network_state": st.booleans(),
    "rate": POSITIVE,
    "concurrency": st.integers(1, 10_000) | st.just("auto"),
    "senders": st.integers(0, 256) | st.just("auto"),
    "timeout": POSITIVE,
    "max_attempts": st.integers(1, 10**9),
    "max_retry_time": POSITIVE,
    "max_pause": POSITIVE,
    "spool": st.booleans(),
    "follow": st.booleans(),
    "give_up_after": POSITIVE | st.just(0),
    "wait_for_service": st.booleans(),
    "new_state": st.booleans(),
    "same_server": st.booleans(),
    "log_max_bytes": st.integers(10_000, 10**12),
    "log_keep": st.integers(0, 10_000),
    "time_budget": POSITIVE,
    "budget_exit": st.sampled_from([0, 75]),
    "on_done": st.sampled_from(["keep", "delete", "move:done"]),
    "on_done_age": POSITIVE | st.just(0),
    "drain_timeout": POSITIVE | st.just(0),
    "log": PATHS | st.just("-"),
    "rejects": PATHS,
    "accept": st.builds("unix:/run/{}.sock".format, NAMES),
    "accept_token_file": PATHS,
    "listen": st.builds("127.0.0.1:{}".format, st.integers(0, 65535)),
    "listen_name": st.lists(NAMES, min_size=1, max_size=3).map(",".join),
    "listen_token_file": PATHS,
    "metrics_file": PATHS,
    "output": st.sampled_from([str(output) for output in Output]),
    "progress": st.sampled_from([str(mode) for mode in Mode]),
    "quiet": st.booleans(),
}


def as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def by_flags(values: Mapping[str, object]) -> Settings:
    words = [
        ("" if value else "--no-") + flag_of(name).removeprefix("" if value else "--")
        if isinstance(value, bool)
        else f"{flag_of(name)}={value}"
        for name, value in values.items()
    ]
    with environment():
        return load(parser_of(COMMANDS["run"]).read(words).options).settings


def by_environment(values: Mapping[str, object]) -> Settings:
    with environment(**{variable_of(name): as_text(value) for name, value in values.items()}):
        return load({}).settings


def by_file(values: Mapping[str, object]) -> Settings:
    lines = [
        f"{name} = {as_text(value)}\n"
        if isinstance(value, bool | int | float)
        else f"{name} = '''{value}'''\n"
        if "'" not in str(value)
        else f'{name} = "{str(value).translate({34: chr(92) + chr(34), 92: chr(92) * 2})}"\n'
        for name, value in values.items()
    ]
    handle, path = tempfile.mkstemp(suffix=".toml")
    os.close(handle)
    try:
        Path(path).write_text("".join(lines), encoding="utf-8")
        with environment():
            return load({}, path).settings
    finally:
        Path(path).unlink()


@given(st.fixed_dictionaries({}, optional=VALUES))
def test_a_value_means_the_same_by_flag_by_environment_and_by_file(values: dict[str, object]) -> None:
    settings = by_flags(values)
    assert settings == by_environment(values) == by_file(values)
    follows = {"auth"} if "tracking_uri" in values else set()  # from the credentials that are set
    assert settings.model_fields_set - follows == set(values) - follows


def test_every_option_but_a_secret_is_covered_above() -> None:
    assert {name for name, field in Settings.model_fields.items() if not option_of(field).secret} == set(VALUES)
