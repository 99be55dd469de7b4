"""What a test follows is closed at its end: else its descriptors stay open for the tests after it."""

from collections.abc import Iterator

import pytest

from tests.sources.follow.followed import Followed


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    Followed.opened.clear()
    yield
    for followed in Followed.opened:
        followed.close()
