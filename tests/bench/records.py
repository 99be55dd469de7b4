"""Records of the size and shape that real tracking servers have, and the requests that they become."""

import json
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

from ingestor.model.record import RunDetails
from ingestor.policy.identity import Scope, canonical_body, retry_token, stamped_body
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY

_SCOPE = Scope(PLATFORM_ID, WORKSPACE_KEY, "default")
_FIRST_START = 1_572_566_400_000  # 2019-11-01


@dataclass(frozen=True, slots=True)
class Sent:
    """What is sent for a record: the stamped body and the retry token, as `ingestor` sends them."""

    body: bytes
    token: str


def write(path: Path, count: int) -> Path:
    """Write `count` records, all different. The same count always gives the same file."""
    draw = Random(1)
    with path.open("w", encoding="utf-8") as file:
        file.writelines(f"{json.dumps(_record(number, draw), ensure_ascii=False)}\n" for number in range(count))
    return path


def _record(number: int, draw: Random) -> dict[str, object]:
    experiment, run = str(number % 24), f"{number:08x}{draw.getrandbits(96):024x}"
    tags = {
        "Run ID": run,
        "Run Time": f"{draw.expovariate(0.2):.2f}",
        "URI": f"{draw.getrandbits(32):08x}",
        "dataset": "árboles y bosques" if number % 7 == 0 else "trees and forests",
        "mlflow.runName": f"baseline {number}",
        "mlflow.source.git.commit": f"{draw.getrandbits(160):040x}",
        "mlflow.source.name": "/home/user-001/envs/training/lib/python3.9/site-packages/ipykernel_launcher.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.user": f"user-{number % 100:03d}",
        "parameters": json.dumps({"lr": draw.random(), "depth": draw.randint(1, 30), "seed": draw.getrandbits(31)}),
    }
    return {
        "job_id": f"{experiment}/{run}",
        "experiment_id": experiment,
        "run_name": f"baseline {number}",
        "start_time": _FIRST_START + number * 1000,
        "tags": [{"key": key, "value": value} for key, value in tags.items()],
    }


def sent_requests(path: Path, count: int) -> list[Sent]:
    """Return the requests of the first `count` records of a file."""
    with path.open(encoding="utf-8") as lines:
        return [_request(json.loads(line)) for line in islice(lines, count)]


def _request(record: dict[str, Any]) -> Sent:
    tags = tuple((tag["key"], tag["value"]) for tag in record["tags"])
    details = RunDetails(record["experiment_id"], record["run_name"], record["start_time"], tags)
    token = retry_token(_SCOPE, record["job_id"])
    return Sent(stamped_body(canonical_body(details), token), token)
