import tomllib
from importlib.metadata import version
from pathlib import Path

import ingestor

ROOT = Path(__file__).parents[2]


def test_the_version_has_one_source() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "version" not in project["project"]
    assert project["tool"]["hatch"]["version"]["path"] == "ingestor/__init__.py"
    assert version("ingestor") == ingestor.__version__


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(ingestor.__file__).parent / "py.typed").is_file()
