"""The files and addresses that a run opens besides its state directory. Nothing is created, and nothing stays open."""

import errno
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from ingestor.app.doctor.finding import Finding, ok, problem, warning
from ingestor.app.doctor.state import holder_if_known
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.observing.metrics_file import earlier_metrics
from ingestor.app.outputs import refuse_another_use, refuse_shared_outputs
from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.text import WHOLE, printable
from ingestor.report.text import spell_count
from ingestor.server.access import Access
from ingestor.server.address import Address, TcpAddress


def places(subject: Subject, _: Facts) -> Sequence[Finding]:
    """Report files that can't be written, addresses that can't be listened at, and tokens that can't be read."""
    found = [it for option, path in subject.files.items() for it in _of_file(option, path)] or list(_of_uses(subject))
    is_in_use = holder_if_known(subject.options.state) is not None
    for option, address in subject.addresses.items():
        token_file = subject.tokens.get(f"{option}-token-file")
        access = Access.from_file(token_file, f"{option}-token-file", required=not address.is_loopback)
        if not access.is_possible:
            found.append(_without_a_token(option, address))
        found += _of_address(option, address, is_in_use=is_in_use)
    count = len(subject.files) + len(subject.addresses)
    return found or [
        ok(f"{spell_count(count, 'place')} can be used" if count else "no further files or addresses are set")
    ]


def _of_file(option: str, path: Path) -> Iterator[Finding]:
    name = printable(str(path), WHOLE)
    folder = path.absolute().parent
    if path.is_dir():
        yield _unusable(option, f"{name} is a directory")
    elif path.exists():
        if not os.access(path, os.W_OK):
            yield _unusable(option, f"this user can't write {name}")
    elif not folder.is_dir():
        yield _unusable(option, f"there is no directory {printable(str(folder), WHOLE)}")
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield _unusable(option, f"this user can't create files in {printable(str(folder), WHOLE)}")


def _of_uses(subject: Subject) -> Iterator[Finding]:
    """Report the first file that has another use, as the run would refuse it."""
    try:
        refuse_shared_outputs(subject.options)
        if (metrics := subject.files.get("--metrics-file")) is not None:
            refuse_another_use("--metrics-file", metrics, subject.options)
            earlier_metrics(metrics)
    except UsageError as error:
        yield problem(f"{str(error).rstrip('.')}.", exit_code=ExitCode.USAGE)


def _of_address(option: str, address: Address, *, is_in_use: bool) -> Iterator[Finding]:
    """Bind a TCP address for an instant; look at the folder of a socket. A run that is active may have it."""
    if not isinstance(address, TcpAddress):
        yield from () if address.path.is_socket() else _of_file(option, address.path)
        return
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address.host, address.port))
    except OSError as error:
        if not (is_in_use and error.errno == errno.EADDRINUSE):
            yield _unusable(option, f"{address} can't be listened at: {error.strerror}")


def _without_a_token(option: str, address: Address) -> Finding:
    return warning(
        f"{option} {address} is reached by other machines, and there is no token.",
        why="What needs a token is refused to everybody.",
        advice=f"Name a file with a token with {option}-token-file.",
    )


def _unusable(option: str, why: str) -> Finding:
    return problem(f"{option}: {why}.", exit_code=ExitCode.USAGE)
