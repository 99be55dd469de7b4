import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from ingestor.model.errors import ExitCode, UsageError
from ingestor.model.sources import STDIN, SkippedFiles, Source
from ingestor.sources.locate import NO_RESERVED_PATHS, Located, ReservedPaths, locate, require_file, source_of
from tests.sources.standard_input import standard_input

NOBODY = 65534


def names(sources: Sequence[str], reserved: ReservedPaths = NO_RESERVED_PATHS) -> list[str]:
    return list(locate(sources, reserved).names)


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
    assert names([]) == [STDIN]


def test_sources_keep_their_order(tmp_path: Path) -> None:
    b, a = touch(tmp_path / "b.jsonl", tmp_path / "a.jsonl")
    assert names([b, "-", a]) == [b, "-", a]


def test_a_source_named_again_stays_where_it_was_named_first(tmp_path: Path) -> None:
    a, b = touch(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    assert names([a, b, a]) == [a, b]


def test_the_same_file_under_other_names_is_read_once(tmp_path: Path) -> None:
    (path,) = touch(tmp_path / "a.jsonl")
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)
    assert names([path, str(link), f"{tmp_path}/./a.jsonl", str(tmp_path), f"{tmp_path}/*.jsonl"]) == [path]


def test_standard_input_is_read_once() -> None:
    assert names(["-", "-"]) == ["-"]


def test_a_named_file_may_have_any_name(tmp_path: Path) -> None:
    files = touch(tmp_path / "export.txt", tmp_path / ".hidden")
    assert names(files) == files


def test_a_directory_gives_its_record_files_at_any_depth_sorted(tmp_path: Path) -> None:
    files = touch(
        tmp_path / "a.jsonl",
        tmp_path / "b" / "c" / "deep.ndjson",
        tmp_path / "b" / "packed.jsonl.gz",
        tmp_path / "b.json.zst",
        tmp_path / "c.json",
    )
    assert names([str(tmp_path)]) == sorted(files)


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
    assert names([str(tmp_path)]) == wanted


@pytest.mark.parametrize("content", [[], ["notes.txt"], [".hidden.jsonl"]])
def test_a_directory_without_record_files_is_an_empty_input(tmp_path: Path, content: list[str]) -> None:
    touch(*(tmp_path / name for name in content))
    located = locate([str(tmp_path)])
    assert (located.names, located.empty, located.skipped.count) == ([], [str(tmp_path)], len(content))


def test_a_glob_gives_the_files_that_match_sorted(tmp_path: Path) -> None:
    files = touch(tmp_path / "a1", tmp_path / "a2", tmp_path / "b1")
    (tmp_path / "a3").mkdir()
    assert names([f"{tmp_path}/a?"]) == files[:2]


def test_two_stars_match_any_depth(tmp_path: Path) -> None:
    files = touch(tmp_path / "a.jsonl", tmp_path / "b" / "c" / "d.jsonl")
    touch(tmp_path / "b" / "c" / "e.txt")
    assert names([f"{tmp_path}/**/*.jsonl"]) == files


def test_a_file_that_a_glob_finds_is_not_standard_input_under_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    touch(Path("-"))
    assert names(["*"]) == ["./-"]


def test_a_name_that_exists_is_no_glob(tmp_path: Path) -> None:
    odd, _ = touch(tmp_path / "run[1].jsonl", tmp_path / "run1.jsonl")
    assert names([odd]) == [odd]


@pytest.mark.parametrize("pattern", ["d*", "*/*.jsonl", "**/*.jsonl", "[x]"])
def test_a_glob_that_matches_no_file_is_an_empty_input(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "directory").mkdir()
    located = locate([f"{tmp_path}/{pattern}"])
    assert (located.names, located.empty) == ([], [f"{tmp_path}/{pattern}"])


def test_a_glob_without_a_folder_looks_in_the_current_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert locate(["*.jsonl"]).names == []
    touch(Path("a.jsonl"))
    assert locate(["*.jsonl"]).names == ["a.jsonl"]


def test_a_glob_whose_folder_does_not_exist_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"/data/: there is no such file or directory"):
        locate([f"{tmp_path}/data/*.jsonl"])


@pytest.mark.parametrize("pattern", ["x*/*.jsonl", "x*/**", "*/[x]/*.jsonl", "**/x/*"])
def test_a_glob_of_which_no_folder_matches_is_an_error_that_names_the_folder(tmp_path: Path, pattern: str) -> None:
    touch(tmp_path / "directory" / "a.jsonl")
    with pytest.raises(UsageError, match="no folder matches") as caught:
        locate([f"{tmp_path}/{pattern}"])
    assert str(caught.value).startswith(f"{tmp_path}/{Path(pattern).parent}: ")


@pytest.mark.parametrize("pattern", ["*", "*/*", "**/*"])
def test_a_link_to_nothing_that_a_glob_finds_is_skipped_unless_it_has_the_name_of_a_record_file(
    tmp_path: Path, pattern: str
) -> None:
    folder = tmp_path / "folder" if pattern == "*/*" else tmp_path
    (name,) = touch(folder / "a.jsonl")
    (folder / "note.txt").symlink_to("nowhere")
    located = locate([f"{tmp_path}/{pattern}"])
    assert located == Located([name], SkippedFiles(1, (f"{folder}/note.txt (link to nothing)",)), [])
    (folder / "b.jsonl").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"b\.jsonl: can't be read: No such file"):
        locate([f"{tmp_path}/{pattern}"])


def test_a_glob_in_a_file_is_an_error(tmp_path: Path) -> None:
    (name,) = touch(tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match=r"a\.jsonl/: "):
        locate([f"{name}/*"])


def test_a_glob_in_a_folder_without_permission_is_an_error(public_path: Path) -> None:
    touch(public_path / "closed" / "a.jsonl")
    (public_path / "closed").chmod(0)
    with as_an_ordinary_user(), pytest.raises(UsageError, match="closed/: can't be read: Permission denied"):
        locate([f"{public_path}/closed/*.jsonl"])


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
        locate(["\x1b2J\udcff"])
    assert str(caught.value).startswith(r"\x1b2J\udcff: ")


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
    assert names([path]) == [path]


def test_a_directory_is_read_through_links_and_a_link_back_up_is_not_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere" / "b.jsonl")
    first, *_ = touch(tmp_path / "top" / "a.jsonl")
    (tmp_path / "top" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top" / "round").symlink_to(tmp_path / "top")
    assert names([str(tmp_path / "top")]) == [first, str(tmp_path / "top" / "linked" / "b.jsonl")]


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
    written = ["log.jsonl", "rejects.jsonl", "rejects-20261123T142401Z.jsonl", "state/spool/a.jsonl"]
    runs, *_ = touch(tmp_path / "runs.jsonl", *(tmp_path / name for name in written))
    reserved = ReservedPaths(
        log=str(tmp_path / "log.jsonl"), rejects=str(tmp_path / "rejects.jsonl"), state=str(tmp_path / "state")
    )
    for source in (str(tmp_path), f"{tmp_path}/**/*.jsonl"):
        located = locate([source], reserved)
        assert (located.names, located.skipped.count) == ([runs], 0)
    for name, option in zip(written, ["--log", "--rejects", "--rejects", "--state"], strict=True):
        with pytest.raises(UsageError, match=option):
            locate([str(tmp_path / name)], reserved)


@pytest.mark.parametrize("source", ["state", "state/inside", "state/../state"])
def test_the_state_directory_and_directories_in_it_are_no_input(tmp_path: Path, source: str) -> None:
    touch(tmp_path / "state" / "inside" / "a.jsonl")
    with pytest.raises(UsageError, match="--state"):
        locate([str(tmp_path / source)], ReservedPaths(state=str(tmp_path / "state")))


RECORD_FILES = [
    "b.JSONL",
    "b.jsonl.GZ",
    "b.Json",
    "b.jsonlines",
    "b.jl",
    "b.ldjson",
    "b.ndjson.bz2",
    "b.jsonl.xz",
    "b.jsonl.lzma",
    "b.jsonl.zstd",
    "b.jsonl.1",
    "b.jsonl.12.gz",
    "b.jsonl.gz.1",
    "b.jsonl-20240131",
    "b.jsonl-20240131.gz",
    "b.jsonl.2024-01-31_12-00-00",
    "b.jsonl.2024-01-31T12:00:00Z.zst",
]
OTHER_FILES = ["b.csv", "b.jsonl.bak", "b.jsonl~", "b.jsonl.zst.gz", "b.jsonl.tmp", "jsonl", "b.jsonl.part1", "b.txt.1"]


@pytest.mark.parametrize("name", RECORD_FILES)
def test_a_directory_includes_the_usual_spellings_rotations_and_compressions(tmp_path: Path, name: str) -> None:
    assert names([str(tmp_path)]) == []
    files = touch(tmp_path / name)
    located = locate([str(tmp_path)])
    assert (located.names, located.skipped.count) == (files, 0)


@pytest.mark.parametrize("name", OTHER_FILES)
def test_a_file_with_another_name_is_skipped_and_is_an_example(tmp_path: Path, name: str) -> None:
    wanted, other = touch(tmp_path / "a.jsonl", tmp_path / name)
    assert locate([str(tmp_path)]) == Located([wanted], SkippedFiles(1, (other,)), [])


def test_skipped_files_are_counted_at_any_depth_with_the_first_few_as_examples(tmp_path: Path) -> None:
    files = touch(*(tmp_path / f"{depth}" / f"{number}.csv" for depth in "ab" for number in range(4)))
    assert locate([str(tmp_path)]).skipped == SkippedFiles(8, tuple(files[:3]))


def test_a_directory_that_is_named_twice_is_counted_once(tmp_path: Path) -> None:
    touch(tmp_path / "sub" / "a.csv")
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    assert locate([str(tmp_path), str(tmp_path / "sub"), f"{tmp_path}/."]).skipped.count == 1


def test_a_file_that_is_also_named_is_not_skipped(tmp_path: Path) -> None:
    (name,) = touch(tmp_path / "a.txt")
    assert locate([str(tmp_path), name]) == Located([name], SkippedFiles(), [str(tmp_path)])


def test_hidden_files_are_left_out_and_counted_if_they_have_the_name_of_a_record_file(tmp_path: Path) -> None:
    hidden, *_ = touch(tmp_path / ".a.jsonl", tmp_path / ".profile", tmp_path / ".git" / "b.jsonl")
    assert locate([str(tmp_path)]).skipped == SkippedFiles(1, (f"{hidden} (hidden)",))


def listen(path: Path, folder: pytest.MonkeyPatch) -> None:
    folder.chdir(path.parent)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(path.name)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("source", ["", "/*", "/**", "/b*"])
def test_only_regular_files_of_a_directory_or_a_glob_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    touch(tmp_path / "b1.jsonl")
    os.mkfifo(tmp_path / "b2.jsonl")
    listen(tmp_path / "b3.jsonl", monkeypatch)
    (tmp_path / "b4.jsonl").symlink_to("/dev/zero")
    located = locate([f"{tmp_path}{source}"])
    kinds = [(2, "pipe"), (3, "socket"), (4, "device")]
    assert located.names == [f"{tmp_path}/b1.jsonl"]
    assert set(located.skipped.examples) == {f"{tmp_path}/b{number}.jsonl ({kind})" for number, kind in kinds}


def test_a_folder_that_a_glob_matches_is_counted_unless_two_stars_look_into_it(tmp_path: Path) -> None:
    (inside,) = touch(tmp_path / "sub" / "a.jsonl")
    assert locate([f"{tmp_path}/*"]).skipped == SkippedFiles(1, (f"{tmp_path}/sub (directory)",))
    assert locate([f"{tmp_path}/**"]) == Located([inside], SkippedFiles(), [])


@pytest.mark.parametrize("source", ["", "/**", "/**/*.jsonl"])
def test_a_link_back_up_the_tree_is_no_error(tmp_path: Path, source: str) -> None:
    (name,) = touch(tmp_path / "a.jsonl")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert locate([f"{tmp_path}{source}"]) == Located([name], SkippedFiles(), [])


def test_a_hard_link_is_read_once(tmp_path: Path) -> None:
    (name,) = touch(tmp_path / "a.jsonl")
    os.link(name, tmp_path / "b.jsonl")
    assert names([str(tmp_path)]) == [name]


def test_a_record_file_of_a_directory_that_is_a_link_to_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").symlink_to("nowhere")
    with pytest.raises(UsageError, match=r"a\.jsonl: can't be read: No such file"):
        locate([str(tmp_path)])


STANDARD_INPUT = pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])


@STANDARD_INPUT
def test_a_standard_input_that_is_closed_is_an_error(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("sys.stdin", None)  # as Python sets it for `<&-`
    with pytest.raises(UsageError, match=r"^standard input is closed: name a file"):
        locate([name])


def test_a_standard_input_that_is_a_directory_is_an_error(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    with standard_input(descriptor), pytest.raises(UsageError, match=r"^standard input is a directory"):
        locate(["-"])
    os.close(descriptor)


def test_a_standard_input_that_is_open_for_writing_only_is_an_error(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT)
    with standard_input(descriptor), pytest.raises(UsageError, match=r"^standard input is open for writing only"):
        locate(["-"])
    os.close(descriptor)
