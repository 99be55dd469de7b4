"""One server has one name: its address is what keys are unique in."""

import pytest

from ingestor.cli.target import target_of
from ingestor.policy.identity import Scope
from ingestor.settings.options import Settings


def scope_of(url: str) -> Scope:
    return target_of(Settings(tracking_uri=url)).scope("default")


@pytest.mark.parametrize(
    "spelling",
    [
        "http://127.0.0.1:5000",
        "HTTP://127.0.0.1:5000/",
        "http://localhost:5000",
        "http://LOCALHOST:5000/./",
        "http://[::1]:5000",
        "http://127.0.0.1:5000/a/..",
    ],
)
def test_every_spelling_of_a_tracking_server_is_the_same_batch(spelling: str) -> None:
    assert scope_of(spelling).platform == "http://127.0.0.1:5000"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://mlflow.example", "https://mlflow.example:443/"),
        ("https://MLflow.example/base/", "https://mlflow.example/base"),
    ],
)
def test_a_default_port_and_a_last_slash_make_no_other_server(one: str, other: str) -> None:
    assert scope_of(one) == scope_of(other)


@pytest.mark.parametrize(
    "other",
    ["http://127.0.0.1:5001", "https://127.0.0.1:5000", "http://127.0.0.1:5000/base", "http://localhost.example"],
)
def test_another_server_is_another_batch(other: str) -> None:
    assert scope_of(other) != scope_of("http://127.0.0.1:5000")
