"""A user who may read what a test shows, and write nothing: another one if the tests run as root, else oneself."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

_NOBODY = 65534


def as_another_user(work: Callable[[], T]) -> T:
    """Return what `work` returns, or raise what it raises, in a forked process of that user.

    All modules that it needs must be imported already, because that user may not be able to read them.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(_NOBODY)
                os.setuid(_NOBODY)
            answer = pickle.dumps((work(), None))
        except BaseException as error:  # noqa: BLE001 - it is raised in the parent
            answer = pickle.dumps((None, error))
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        found, failure = pickle.loads(pipe.read())  # noqa: S301 - our own child wrote it
    os.waitpid(child, 0)
    if failure is not None:
        raise failure
    result: T = found
    return result


def show(state: Path, *, but: str = "") -> None:
    """Let everybody read a directory with its files, except the one named, and nobody write it (but root)."""
    for file in state.iterdir():
        file.chmod(0 if file.name == but else 0o444)
    state.chmod(0o555)
