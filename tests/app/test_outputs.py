"""Log and rejects are files of their own, whatever their names."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ingestor.app.options import BatchOptions
from ingestor.app.outputs import refuse_outputs_among, refuse_shared_outputs
from ingestor.model.errors import UsageError
from ingestor.model.sources import Source


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "state").mkdir()
    return tmp_path


def refusal(log: str = "log", rejects: str = "rejects", *, max_bytes: int | None = None, keep: int = 5) -> str:
    options = BatchOptions(
        state=Path("state"), log=Path(log), rejects=Path(rejects), log_max_bytes=max_bytes, log_keep=keep
    )
    with pytest.raises(UsageError) as refused:
        refuse_shared_outputs(options)
    return str(refused.value)


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal", "journal.db-shm", "lock", "spool", "spool/ab/x"])
@pytest.mark.parametrize("exists", [False, True])
def test_a_file_of_the_state_directory_is_refused(folder: Path, name: str, exists: bool) -> None:
    if exists:
        (folder / "state" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "state" / name).touch()
    use = f"is also state/{name.partition('/')[0]} of the state directory: choose another file."
    assert refusal(log=f"state/{name}") == f"--log: state/{name} {use}"
    assert refusal(rejects=f"./state/../state/{name}") == f"--rejects: state/../state/{name} {use}"


def hard_link(path: Path) -> None:
    path.with_name("there").touch()
    path.hardlink_to("there")


def link(path: Path) -> None:
    path.symlink_to("there")


def nothing(path: Path) -> None:
    """The name itself is another spelling."""


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("here", link),
        ("here", hard_link),
        ("there", nothing),
        ("state/../there", nothing),
        ("/proc/self/cwd/there", nothing),
    ],
)
def test_log_and_rejects_are_not_one_file(folder: Path, name: str, make: Callable[[Path], None]) -> None:
    make(folder / name)
    assert refusal("there", name) == "--log: there is also the file of --rejects: choose another file."


def test_rejects_do_not_get_a_name_that_the_log_gets_when_it_is_renamed(folder: Path) -> None:
    assert "--log-keep: log.2 is also the file of --rejects" in refusal("log", "log.2", max_bytes=10_000, keep=2)
    for keep in (1, 0):
        options = BatchOptions(log=Path("log"), rejects=Path("log.2"), log_max_bytes=10_000, log_keep=keep)
        refuse_shared_outputs(options)


@pytest.mark.parametrize(
    "content",
    [
        b"-----BEGIN PRIVATE KEY-----\n",
        b"[DEFAULT]\nuser=x\n",
        b'platform_id = "x"\n',
        b"SQLite format 3\0\n",
        b'{"job_id": "1", "run_name": "a"}\n',
    ],
)
def test_an_existing_file_of_another_kind_is_refused(folder: Path, content: bytes) -> None:
    (folder / "other").write_bytes(content)
    for option, message in (("--log", refusal(log="other")), ("--rejects", refusal(rejects="other"))):
        assert message.startswith(f"{option}: other exists, and has something else")
    assert (folder / "other").read_bytes() == content


def test_files_of_earlier_runs_and_devices_are_not_refused(folder: Path) -> None:
    (folder / "log").write_text('{"event":"batch.started"}\n')
    (folder / "rejects").write_text('\n{\n  "source": "a", "record": "{\\"job_id\\": 1}"}')
    refuse_shared_outputs(BatchOptions(log=Path("log"), rejects=Path("rejects")))
    refuse_shared_outputs(BatchOptions(log=Path("/dev/null"), rejects=Path("/dev/null")))
    refuse_shared_outputs(BatchOptions(log=Path("-")))
    refuse_shared_outputs(BatchOptions())


def test_rejects_on_standard_output_are_refused(folder: Path) -> None:
    assert refusal(rejects="-").startswith("--rejects: must be a file: standard output has the summary.")


def test_a_standard_stream_that_is_a_file_is_refused(folder: Path) -> None:
    kept = os.dup(0)
    given = os.open(folder / "given", os.O_RDWR | os.O_CREAT)
    try:
        os.dup2(given, 0)
        assert refusal(log="given") == "--log: given is also standard input: choose another file."
    finally:
        os.dup2(kept, 0)
        os.close(kept)
        os.close(given)


def test_a_source_under_any_name_is_refused(folder: Path) -> None:
    (folder / "runs.jsonl").touch()
    (folder / "log").hardlink_to("runs.jsonl")
    options = BatchOptions(log=Path("log"))
    refuse_outputs_among(options, [Source("other.jsonl", None), Source("-", None)])
    with pytest.raises(UsageError, match=r"--log: log is also the source runs\.jsonl: choose another file"):
        refuse_outputs_among(options, [Source("runs.jsonl", str(folder / "runs.jsonl"))])
