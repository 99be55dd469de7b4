"""Records that look like real ones, for a first run: `python -m ingestor.simulator.sample 4000 > runs.jsonl`.

The same count always gives the same records.
"""

import json
import random
import sys
from collections.abc import Iterator

_MODELS = ("baseline", "gradient boosting", "逻辑回归", "árbol de decisión", "lstm", "resnet-50", "transformer")
_USERS = ("ana", "bo", "chidi", "deniz")
_FIRST_START = 1_572_566_400_000  # 2019-11-01


def records(count: int) -> Iterator[dict[str, object]]:
    """Yield `count` valid records: also nested runs, long tag values, and names and values in many scripts."""
    source = random.Random(count)  # noqa: S311 - repeatable, and no secret
    for number in range(1, count + 1):
        model = source.choice(_MODELS)
        experiment = str(source.randint(1, 24))
        record: dict[str, object] = {
            "job_id": f"{experiment}/{number:032x}",
            "experiment_id": experiment,
            "start_time": _FIRST_START + number * 3_000_000 + source.randint(0, 2_999_999),
            "tags": _tags(source, number, model, experiment),
        }
        if source.random() < 0.84:  # as many as in real tracking servers
            record["run_name"] = f"{model} {source.randint(1, 200)}"
        yield record


def _tags(source: random.Random, number: int, model: str, experiment: str) -> list[dict[str, str]]:
    tags = {
        "mlflow.user": source.choice(_USERS),
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": f"{source.getrandbits(160):040x}",
        "Run Time": f"{source.expovariate(0.2):.2f}",
    }
    if number > 1 and source.random() < 0.4:
        tags["mlflow.parentRunId"] = f"{experiment}/{number - 1:032x}"
    if source.random() < 0.3:
        tags["mlflow.log-model.history"] = json.dumps([{"flavors": {model: {"data": "x" * source.randint(50, 900)}}}])
    if source.random() < 0.05:
        tags["note"] = "line one\nline two, with a tab\tand C:\\a\\path"
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]


def main() -> None:
    """Write the number of records that the argument gives."""
    for record in records(int(sys.argv[1])):
        sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
