"""Files and addresses that a run opens are looked at, and nothing is created."""

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ingestor.app.doctor.finding import Finding, Grade
from ingestor.app.doctor.places import places
from ingestor.app.doctor.subject import Facts, Subject
from ingestor.app.options import BatchOptions
from ingestor.journal.lock import StateDirectory
from ingestor.model.errors import ExitCode, UsageError
from ingestor.server.address import TcpAddress, UnixAddress
from tests.support.another_user import as_another_user

Addresses = Mapping[str, TcpAddress | UnixAddress]


def found(
    files: Mapping[str, Path] | None = None,
    addresses: Addresses | None = None,
    tokens: Mapping[str, Path] | None = None,
    state: Path = Path("/none"),
) -> Sequence[Finding]:
    subject = Subject(
        options=BatchOptions(state=state), files=files or {}, addresses=addresses or {}, tokens=tokens or {}
    )
    return places(subject, Facts())


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter, and only its owner may write."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        yield Path(folder)
        Path(folder).chmod(0o755)


def test_places_that_can_be_used_are_counted_and_not_created(tmp_path: Path) -> None:
    files = {"--log": tmp_path / "log.jsonl", "--metrics-file": tmp_path / "m.prom"}
    addresses: Addresses = {"--listen": TcpAddress("127.0.0.1", 0), "--accept": UnixAddress(tmp_path / "socket")}
    (it,) = found(files, addresses)
    assert (it.grade, it.what) == (Grade.OK, "4 places can be used")
    assert list(tmp_path.iterdir()) == []


def test_a_metrics_file_that_is_a_device_would_not_be_replaced_and_is_named() -> None:
    (it,) = found({"--log": Path(os.devnull), "--metrics-file": Path(os.devnull)})
    assert (it.grade, it.what) == (Grade.PROBLEM, "--metrics-file: /dev/null is no regular file. Name a new file.")


@pytest.mark.parametrize(
    ("log", "rejects", "metrics", "problem"),
    [
        ("x", "x", None, "--log: {folder}/x is also the file of --rejects: choose another file."),
        ("x", "y", "y", "--metrics-file: {folder}/y is also the file of --rejects: choose another file."),
        ("lock", "y", None, "--log: {folder}/lock is also {folder}/lock of the state directory: choose another file."),
        ("key", "y", None, "--log: {folder}/key exists, and has something else than the lines of this option: "),
        ("x", "y", "key", "--metrics-file: {folder}/key is another file: it would be overwritten. Name a new file."),
    ],
)
def test_a_file_that_a_run_refuses_because_of_its_other_use_is_a_problem_with_the_exit_code_of_that_run(
    tmp_path: Path, log: str, rejects: str, metrics: str | None, problem: str
) -> None:
    (tmp_path / "key").write_text("-----BEGIN")
    options = BatchOptions(state=tmp_path, log=tmp_path / log, rejects=tmp_path / rejects)
    files = {"--log": tmp_path / log, "--rejects": tmp_path / rejects}
    if metrics is not None:
        files["--metrics-file"] = tmp_path / metrics
    (it,) = places(Subject(options=options, files=files), Facts())
    assert (it.grade, it.exit_code) == (Grade.PROBLEM, ExitCode.USAGE)
    assert problem.format(folder=tmp_path) in it.what
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [(".", "is a directory"), ("none/l", "there is no directory"), ("f/l", "there is no directory")],
)
def test_a_file_that_can_not_be_written_is_named_with_its_option(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "f").write_text("")
    (it,) = found({"--log": tmp_path / name})
    assert (it.grade, it.exit_code) == (Grade.PROBLEM, ExitCode.USAGE)
    assert it.what.startswith("--log: ")
    assert problem in it.what


def test_a_folder_that_this_user_can_not_write_is_a_problem(public: Path) -> None:
    (it,) = as_another_user(partial(found, {"--metrics-file": public / "m.prom"}))
    assert it.what == f"--metrics-file: this user can't create files in {public}."


def test_an_address_that_another_program_has_is_a_problem() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (it,) = found(addresses={"--listen": TcpAddress("127.0.0.1", taken.getsockname()[1])})
    assert it.grade is Grade.PROBLEM
    assert "can't be listened at: Address already in use" in it.what


def test_an_address_that_the_active_run_has_is_no_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, StateDirectory.open(tmp_path / "state"):
        address = TcpAddress("127.0.0.1", taken.getsockname()[1])
        (it,) = found(addresses={"--listen": address}, state=tmp_path / "state")
    assert it.grade is Grade.OK


def test_an_address_is_free_again_afterwards() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    assert found(addresses={"--listen": TcpAddress("127.0.0.1", port)})[0].grade is Grade.OK
    socket.create_server(("127.0.0.1", port)).close()


def test_an_address_for_other_machines_without_a_token_is_a_warning(tmp_path: Path) -> None:
    everywhere = {"--listen": TcpAddress("0.0.0.0", 0)}
    (it,) = found(addresses=everywhere)
    assert it.grade is Grade.WARNING
    assert "--listen-token-file" in it.advice
    (tmp_path / "token").write_text("a-token-of-the-page-9951")
    (it,) = found(addresses=everywhere, tokens={"--listen-token-file": tmp_path / "token"})
    assert it.grade is Grade.OK


def test_a_token_that_can_not_be_read_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--accept-token-file"):
        found(addresses={"--accept": TcpAddress("127.0.0.1", 0)}, tokens={"--accept-token-file": tmp_path / "none"})


def test_a_socket_that_an_earlier_run_left_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    assert found(addresses={"--accept": UnixAddress(path)})[0].grade is Grade.OK
    assert path.is_socket()
