"""A limit of the system is named, wherever it is met."""

import errno
import io
import os
import resource
import sys
from collections.abc import Callable
from contextlib import suppress

import pytest

from ingestor.app.limits import NEEDED, SERVED, InFlightBounds, in_flight_bounds
from ingestor.app.options import BatchOptions, Concurrency
from ingestor.cli import simulate as _imported_before_the_limit  # noqa: F401
from ingestor.cli.main import main
from ingestor.system.limits import LimitError, limit_of, start_thread

THREADS = "No further thread or process can be started"
FILES = "No further file can be opened: the limit of open files (ulimit -n, now "
MEMORY = "There is not enough memory"


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (RuntimeError("can't start new thread"), THREADS),
        (BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"), THREADS),
        (OSError(errno.EMFILE, "Too many open files"), FILES),
        (OSError(errno.ENFILE, "Too many open files in system"), "this machine has reached its limit of open files"),
        (MemoryError(), MEMORY),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), MEMORY),
        (ImportError("_rust.abi3.so: failed to map segment from shared object"), MEMORY),
        (raised_from(ValueError("x"), OSError(errno.EMFILE, "Too many open files")), FILES),
        (ExceptionGroup("several", [ValueError("x"), MemoryError()]), MEMORY),
    ],
    ids=str,
)
def test_an_error_that_a_limit_caused_becomes_a_sentence(error: Exception, sentence: str) -> None:
    found = limit_of(error)
    assert isinstance(found, LimitError)
    assert sentence in str(found)


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.ENOSPC, "No space"), RuntimeError("a bug")], ids=str)
def test_another_error_names_no_limit(error: Exception) -> None:
    assert limit_of(error) is None


def holds_in_a_child(check: Callable[[], bool]) -> bool:
    """Return what a check says in a process of its own."""
    child = os.fork()
    if not child:
        code = 1
        with suppress(BaseException):
            code = 0 if check() else 1
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def a_thread_is_refused() -> bool:
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    os.setuid(65534)  # no limit is for root
    try:
        start_thread(lambda: None, "one too many")
    except LimitError as error:
        return str(error).startswith(THREADS)
    return False


def test_a_thread_that_can_not_be_started_is_a_limit() -> None:
    assert holds_in_a_child(a_thread_is_refused)


def bounds_at(
    soft: int, hard: int, concurrency: Concurrency = "auto", *, honours_tokens: bool = True
) -> InFlightBounds:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return in_flight_bounds(BatchOptions(concurrency=concurrency, senders=1), honours_tokens=honours_tokens)


OTHERS = NEEDED + 1


def test_the_limit_of_open_files_is_raised_as_far_as_it_may_be() -> None:
    def is_raised() -> bool:
        bounds = bounds_at(64, 256, concurrency=200)
        return (bounds.all, resource.getrlimit(resource.RLIMIT_NOFILE)[0]) == (200, 200 + OTHERS)

    assert holds_in_a_child(is_raised)


def test_a_followed_batch_may_open_files_for_what_it_follows_and_for_clients_too() -> None:
    def is_raised() -> bool:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 4096))
        bounds = in_flight_bounds(BatchOptions(senders=1, follow=True), honours_tokens=True)
        return (bounds.all, resource.getrlimit(resource.RLIMIT_NOFILE)[0]) == (1024, 1024 + OTHERS + SERVED)

    assert holds_in_a_child(is_raised)


def test_requests_in_flight_are_only_as_many_as_there_may_be_open_files() -> None:
    assert holds_in_a_child(lambda: bounds_at(64, 64, concurrency=200).all == 64 - OTHERS)


def test_auto_begins_with_64_requests_in_flight_and_allows_1024() -> None:
    assert holds_in_a_child(lambda: bounds_at(4096, 4096) == InFlightBounds(1024, 64, 0))


@pytest.mark.parametrize("hard", [26, 64, 128, 512])
def test_auto_never_opens_more_files_than_it_may(hard: int) -> None:
    left = hard - OTHERS
    assert holds_in_a_child(lambda: bounds_at(26, hard) == InFlightBounds(left, min(64, left), 0))


def test_where_no_token_protects_as_many_requests_may_wait_outside_the_slots() -> None:
    assert holds_in_a_child(lambda: bounds_at(4096, 4096, honours_tokens=False) == InFlightBounds(1024, 64, 1024))


def test_where_no_token_protects_auto_shares_few_open_files_and_a_number_keeps_its_slots() -> None:
    def are_shared() -> bool:
        auto = bounds_at(64, OTHERS + 101, honours_tokens=False)
        return (auto, bounds_at(64, OTHERS + 101, 80, honours_tokens=False)) == (
            InFlightBounds(50, 50, 51),
            InFlightBounds(80, None, 21),
        )

    assert holds_in_a_child(are_shared)


@pytest.mark.parametrize(
    "argv",
    [["simulate", "--port", "0"], ["check", "x"], ["check", "--online", "--tracking-uri", "http://127.0.0.1:1", "x"]],
    ids=lambda it: " ".join(it[:2]),
)
def test_a_command_that_can_open_too_few_files_names_the_limit(argv: list[str]) -> None:
    def is_named() -> bool:
        messages = sys.stderr = io.StringIO()
        resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
        return main(argv) == 4 and "The limit of open files (ulimit -n) is 20, and at least 24" in messages.getvalue()

    assert holds_in_a_child(is_named)


def test_a_limit_that_leaves_no_connection_is_refused() -> None:
    def is_refused() -> bool:
        try:
            bounds_at(12, 12, concurrency=64)
        except LimitError as error:
            return "The limit of open files (ulimit -n) is 12, and at least 26 are needed" in str(error)
        return False

    assert holds_in_a_child(is_refused)
