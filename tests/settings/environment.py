"""The environment of one example: INGESTOR_* variables exactly as given."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    for name in [name for name in os.environ if name.upper().startswith("INGESTOR_")]:
        del os.environ[name]
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
