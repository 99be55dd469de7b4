"""How much text an input has: known once a tenth of it was begun, whatever part of it is compressed."""

import gzip
from pathlib import Path

import pytest

from ingestor.model.sources import Source
from ingestor.sources.locate import source_of
from ingestor.sources.text_size import TextSize

TEXT = b"".join(b'{"job_id": "%d", "run_name": "a name"}\n' % number for number in range(3_000))


def size_of(*paths: Path) -> TextSize:
    return TextSize([(source_of(str(path)), path.stat().st_size) for path in paths])


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_the_size_is_known_once_a_tenth_was_begun(tmp_path: Path) -> None:
    size = size_of(*[write(tmp_path / f"{number}.jsonl", TEXT) for number in range(25)])
    seen = []
    for _ in range(4):
        size.begin()
        size.add((0, len(TEXT)), 1, len(TEXT), is_end=True)
        seen.append(size.total)
    assert seen == [None, None, 25 * len(TEXT), 25 * len(TEXT)]


def test_compressed_files_count_as_the_text_that_they_become(tmp_path: Path) -> None:
    paths = [write(tmp_path / "a.jsonl", TEXT), write(tmp_path / "b.jsonl", gzip.compress(TEXT, 1))]
    size = size_of(*paths)
    size.begin()
    assert size.add((0, 1_000), 1_000, len(TEXT), is_end=False) == (0, 1_000)
    assert size.total == pytest.approx(2 * len(TEXT), rel=0.01)


def test_what_is_read_corrects_the_ratio_of_the_sample(tmp_path: Path) -> None:
    poor = gzip.compress(TEXT, 0)
    paths = [write(tmp_path / f"{name}.gz", content) for name, content in (("a", gzip.compress(TEXT)), ("b", poor))]
    size = size_of(*paths)
    before = size.total
    assert before is None
    size.begin()
    size.add((0, paths[0].stat().st_size), len(TEXT), paths[0].stat().st_size, is_end=True)
    size.begin()
    size.add((0, len(poor) // 2), len(TEXT) // 2, len(poor), is_end=False)
    assert size.total is not None
    assert size.total < 3 * len(TEXT)


def test_an_end_is_not_reached_before_the_last_part(tmp_path: Path) -> None:
    path = write(tmp_path / "a.gz", gzip.compress(TEXT))
    size = size_of(path)
    size.begin()
    size.add((0, path.stat().st_size), 100, path.stat().st_size, is_end=False)
    assert size.total is not None
    assert size.total > size.read
    size.add((path.stat().st_size, path.stat().st_size), 100, path.stat().st_size, is_end=True)
    assert size.total == size.read == 200


def test_damaged_and_missing_files_have_a_size_too(tmp_path: Path) -> None:
    assert size_of(write(tmp_path / "a.gz", b"\x1f\x8b damage")).total is None
    size = TextSize([(Source("gone", str(tmp_path / "gone")), 0)])
    assert size.total == 0


def test_no_source_has_no_text() -> None:
    assert TextSize([]).total == 0


def test_without_the_size_of_each_source_the_whole_is_not_known(tmp_path: Path) -> None:
    size = TextSize([(source_of(str(write(tmp_path / "a.jsonl", TEXT))), len(TEXT)), (Source("-", None), None)])
    size.begin()
    size.add((0, len(TEXT)), len(TEXT), len(TEXT), is_end=True)
    assert (size.read, size.total) == (len(TEXT), None)
