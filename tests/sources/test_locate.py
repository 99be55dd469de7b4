import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.sources import Source
from ingestor.sources.locate import STDIN, ReservedPaths, locate, require_file, source_of

NOBODY = 65534


def touch(*paths: Path) -> list[str]:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return [str(path) for path in paths]


@pytest.fixture
def public_path() -> Iterator[Path]:
    """Make a directory that every user may enter: the ones of pytest are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@contextmanager
def as_an_ordinary_user() -> Iterator[None]:
    """Give up the rights of root inside the block: root may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_no_source_means_standard_input() -> None:
    assert locate([]) == [STDIN]


def test_sources_keep_their_order(tmp_path: Path) -> None:
    b, a = touch(tmp_path / "b.jsonl", tmp_path / "a.jsonl")
    assert locate([b, "-", a]) == [b, "-", a]


def test_a_source_named_again_stays_where_it_was_named_first(tmp_path: Path) -> None:
    a, b = touch(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert locate([a, b, a]) == [a, b]


def test_the_same_file_under_other_names_is_read_once(tmp_path: Path) -> None:
    (path,) = touch(tmp_path / "a.jsonl")
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    assert locate([path, str(link), f"{tmp_path}/./a.jsonl", str(tmp_path), f"{tmp_path}/*.jsonl"]) == [path]


def test_standard_input_is_read_once() -> None:
    assert locate(["-", "-"]) == ["-"]


def test_a_named_file_may_have_any_name(tmp_path: Path) -> None:
    files = touch(tmp_path / "export.txt", tmp_path / ".hidden")
    assert locate(files) == files


def test_a_directory_gives_its_record_files_at_any_depth_sorted(tmp_path: Path) -> None:
    files = touch(
        tmp_path / "a.jsonl",
        tmp_path / "b" / "c" / "deep.ndjson",
        tmp_path / "b" / "packed.jsonl.gz",
        tmp_path / "b.json.zst",
        tmp_path / "c.json",
    )
    assert locate([str(tmp_path)]) == sorted(files)


def test_a_directory_leaves_out_hidden_and_other_files(tmp_path: Path) -> None:
    wanted = touch(tmp_path / "a.jsonl")
    touch(
        tmp_path / ".hidden.jsonl",
        tmp_path / ".ingestor" / "rejects.jsonl",
        tmp_path / "README.md",
        tmp_path / "runs.csv.gz",
        tmp_path / "jsonl",
        tmp_path / "twice.jsonl.zst.gz",
    )
    assert locate([str(tmp_path)]) == wanted


@pytest.mark.parametrize("content", [[], ["notes.txt"], [".hidden.jsonl"]])
def test_a_directory_without_record_files_is_an_error(tmp_path: Path, content: list[str]) -> None:
    touch(*(tmp_path / name for name in content))
    with pytest.raises(UsageError, match=r"there are no record files in it \(\*\.jsonl, .*\)") as caught:
        locate([str(tmp_path)])
    assert str(tmp_path) in str(caught.value)


def test_a_glob_gives_the_files_that_match_sorted(tmp_path: Path) -> None:
    files = touch(tmp_path / "a1", tmp_path / "a2", tmp_path / "b1")
    (tmp_path / "a3").mkdir()
    assert locate([f"{tmp_path}/a?"]) == files[:2]


def test_two_stars_match_any_depth(tmp_path: Path) -> None:
    files = touch(tmp_path / "a.jsonl", tmp_path / "b" / "c" / "d.jsonl")
    touch(tmp_path / "b" / "c" / "e.txt")
    assert locate([f"{tmp_path}/**/*.jsonl"]) == files


def test_a_file_that_a_glob_finds_is_not_standard_input_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(Path("-"))
    assert locate(["*"]) == ["./-"]


def test_a_name_that_exists_is_no_glob(tmp_path: Path) -> None:
    odd, _ = touch(tmp_path / "run[1].jsonl", tmp_path / "run1.jsonl")
    assert locate([odd]) == [odd]


def test_a_glob_that_matches_nothing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(UsageError, match=r"d\*: no file matches"):
        locate([f"{tmp_path}/d*"])


def test_a_missing_file_is_a_usage_error_that_names_it() -> None:
    with pytest.raises(UsageError, match=r"^no/such\.jsonl: there is no such file") as caught:
        locate(["no/such.jsonl"])
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_link_to_nowhere_is_an_error(tmp_path: Path) -> None:
    link = tmp_path / "a.jsonl"
    link.symlink_to("nowhere")
    with pytest.raises(UsageError, match="can't be read: No such file"):
        locate([str(link)])


def test_a_name_can_not_control_the_terminal() -> None:
    with pytest.raises(UsageError) as caught:
        locate(["\x1b[2J\udcff"])
    assert str(caught.value).startswith(r"\x1b[2J\udcff: ")


def test_a_file_without_permission_is_an_error_before_anything_is_read(public_path: Path) -> None:
    good, bad = touch(public_path / "good.jsonl", public_path / "bad.jsonl")
    Path(good).chmod(0o644)
    Path(bad).chmod(0)
    with as_an_ordinary_user(), pytest.raises(UsageError, match=r"bad\.jsonl: can't be read: Permission denied"):
        locate([good, bad])


def test_a_directory_without_permission_is_an_error_at_any_depth(public_path: Path) -> None:
    touch(public_path / "a.jsonl")
    (public_path / "closed").mkdir(0)
    with as_an_ordinary_user(), pytest.raises(UsageError, match="closed: can't be read: Permission denied"):
        locate([str(public_path)])


def test_a_link_into_a_closed_directory_is_an_error(public_path: Path) -> None:
    (public_path / "closed").mkdir(0o700)
    link = public_path / "a.jsonl"
    link.symlink_to(public_path / "closed" / "a.jsonl")
    with as_an_ordinary_user(), pytest.raises(UsageError, match=r"a\.jsonl: can't be read: Permission denied"):
        locate([str(link)])


@pytest.mark.timeout(10)
def test_a_fifo_is_not_opened(tmp_path: Path) -> None:
    path = str(tmp_path / "fifo.jsonl")
    os.mkfifo(path)
    assert locate([path]) == [path]


def test_a_directory_is_read_through_links_and_a_link_back_up_is_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "b.jsonl")
    first, *_ = touch(tmp_path / "top" / "a.jsonl")
    (tmp_path / "top" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top" / "round").symlink_to(tmp_path / "top")
    assert locate([str(tmp_path / "top")]) == [first, str(tmp_path / "top" / "linked" / "b.jsonl")]


def test_a_file_in_a_closed_directory_is_not_reported_as_missing(public_path: Path) -> None:
    (path,) = touch(public_path / "closed" / "a.jsonl")
    (public_path / "closed").chmod(0o700)
    with as_an_ordinary_user(), pytest.raises(UsageError, match=r"a\.jsonl: can't be read: Permission denied"):
        locate([path])


def test_a_fifo_without_permission_is_an_error_before_anything_is_read(public_path: Path) -> None:
    path = public_path / "fifo.jsonl"
    os.mkfifo(path, 0)
    with as_an_ordinary_user(), pytest.raises(UsageError, match=r"fifo\.jsonl: can't be read: Permission denied"):
        locate([str(path)])


@pytest.mark.timeout(10)
def test_a_required_file_is_found_under_its_very_name(public_path: Path) -> None:
    (path,) = touch(public_path / "a[1].jsonl")
    require_file(path)
    touch(public_path / "a1.jsonl")
    Path(path).unlink()
    with pytest.raises(UsageError, match=r"a\[1\]\.jsonl: there is no such file"):
        require_file(path)
    os.mkfifo(path)
    with pytest.raises(UsageError, match=r"a\[1\]\.jsonl: is no longer a file"):
        require_file(path)
    public_path.chmod(0o700)
    with as_an_ordinary_user(), pytest.raises(UsageError, match="can't be read: Permission denied"):
        require_file(path)


def test_a_source_is_known_by_the_file_that_a_link_leads_to(tmp_path: Path) -> None:
    monday, tuesday = touch(tmp_path / "day" / "monday.jsonl", tmp_path / "monday.jsonl")
    (tmp_path / "day" / "files").mkdir()
    (tmp_path / "latest").symlink_to(monday)
    (tmp_path / "folder").symlink_to(tmp_path / "day" / "files")
    names = [str(tmp_path / "latest"), str(tmp_path / "folder" / ".." / "monday.jsonl"), tuesday]
    paths = [os.path.realpath(path) for path in (monday, monday, tuesday)]
    assert list(map(source_of, names)) == list(map(Source, names, paths))


def test_a_pipe_a_descriptor_and_a_missing_file_have_no_path(tmp_path: Path) -> None:
    fifo, gone = str(tmp_path / "fifo"), str(tmp_path / "gone")
    os.mkfifo(fifo)
    names = [STDIN, "/dev/stdin", "/dev/fd/0", fifo, gone, str(tmp_path)]
    assert list(map(source_of, names)) == [Source(name, None) for name in names]


def test_files_that_the_program_writes_are_never_read_as_records(tmp_path: Path) -> None:
    names = ["runs.jsonl", "log.jsonl", "rejects.jsonl", "rejects-20261123T142401Z.jsonl", "state/spool/a.jsonl"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}\n")
    reserved = ReservedPaths(
        log=str(tmp_path / "log.jsonl"), rejects=str(tmp_path / "rejects.jsonl"), state=str(tmp_path / "state")
    )
    assert locate([str(tmp_path)], reserved) == [str(tmp_path / "runs.jsonl")]
    assert locate([str(tmp_path / "**" / "*.jsonl")], reserved) == [str(tmp_path / "runs.jsonl")]
    for name, option in zip(names[1:], ["--log", "--rejects", "--rejects", "--state"], strict=True):
        with pytest.raises(UsageError, match=option):
            locate([str(tmp_path / name)], reserved)
