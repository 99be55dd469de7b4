"""The annotated files in config/ work as they are, and explain every option. Also pipes are read."""

import os
import re
import threading
from pathlib import Path

import pytest

from ingestor.model.errors import UsageError
from ingestor.settings.config_file import read_config
from ingestor.settings.load import load
from ingestor.settings.options import Settings, option_of, variable_of
from tests.settings.environment import environment

FILES = sorted((Path(__file__).parents[2] / "config").glob("*.toml"))
EXAMPLE = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)
KEY = re.compile(r"^(?:# )?([a-z_]+) = ", re.MULTILINE)


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b'batch = "b"\n')
    os.close(writing)
    try:
        assert read_config(Path(f"/dev/fd/{reading}")) == b'batch = "b"\n'
    finally:
        os.close(reading)


def test_a_fifo_is_read_when_its_writer_comes(tmp_path: Path) -> None:
    os.mkfifo(path := tmp_path / "fifo")
    writer = threading.Thread(target=path.write_text, args=("rate = 5\n",))
    writer.start()
    try:
        assert read_config(path) == b"rate = 5\n"
    finally:
        writer.join()


def test_a_fifo_without_a_writer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestor.settings.config_file._LONGEST_WAIT", 0.05)
    os.mkfifo(path := tmp_path / "fifo")
    with environment(), pytest.raises(UsageError, match="fifo is a FIFO, and no program writes to it"):
        load({}, str(path))


def test_there_is_one_for_each_way_of_use() -> None:
    assert [path.name for path in FILES] == ["backfill.toml", "migration.toml", "sidecar.toml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_it_is_all_that_a_run_needs(path: Path) -> None:
    with environment():
        loaded = load({}, str(path), sending=True)
    assert loaded.warnings == []
    assert loaded.settings.batch != "default"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_is_commented_out_works_too(path: Path, tmp_path: Path) -> None:
    whole = tmp_path / path.name
    whole.write_text(EXAMPLE.sub("", path.read_text()))
    with environment():
        load({}, str(whole), sending=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_option_in_it_stands_below_a_comment(path: Path) -> None:
    for paragraph in path.read_text().split("\n\n"):
        first = paragraph.lstrip("\n").splitlines()[0]
        assert first.startswith("# "), paragraph
        assert not KEY.match(first), paragraph


def test_every_option_is_explained_in_one_of_them() -> None:
    text = "\n".join(path.read_text() for path in FILES)
    secrets = {name for name, field in Settings.model_fields.items() if option_of(field).secret}
    assert set(KEY.findall(text)) == set(Settings.model_fields) - secrets
    assert all(variable_of(name) in text for name in secrets)
