"""The files of deploy/, and the program as they call it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"

MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))


def documents(manifest: Path) -> list[dict[str, object]]:
    """Return the documents of a manifest."""
    return list(yaml.safe_load_all(manifest.read_text()))


def found(value: object, key: str) -> Iterator[object]:
    """Yield what stands under a key, at any depth."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for inner in value.values():
            yield from found(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from found(inner, key)


def dashboard_queries() -> list[str]:
    """Return the query of every panel of the dashboard, for all batches."""
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    return [str(it).replace('"$batch"', '".*"') for it in found(dashboard, "expr")]


def answered(prometheus: str, query: str) -> bool:
    """Return whether a Prometheus has an answer to a query."""
    with urlopen(f"{prometheus}/api/v1/query?{urlencode({'query': query})}") as answer:  # noqa: S310 - loopback
        return bool(json.load(answer)["data"]["result"])


def check_arguments(arguments: list[str], folder: Path) -> str:
    """Return what `ingestor config` says of the arguments of `ingestor run`: "" if it accepts all of them."""
    options = [it for it in arguments if not it.startswith("/")]
    command = [sys.executable, "-m", "ingestor", "config", *options]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return result.stderr if result.returncode else ""
