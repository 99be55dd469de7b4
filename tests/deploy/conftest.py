"""A real Prometheus that scrapes the program while it sends records to the simulator."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.deploy.places import DEPLOY, answered
from tests.support.addresses import free_port

PROGRAM = (sys.executable, "-m", "ingestor")


@contextmanager
def running(*command: object, folder: Path) -> Iterator[None]:
    with (folder / "output").open("a") as output:
        words = [str(it) for it in command]
        process = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def wait_until(is_there: Callable[[], bool], seconds: float = 40.0) -> None:
    end = time.monotonic() + seconds
    while not is_there():
        assert time.monotonic() < end, "it does not answer"
        time.sleep(0.1)


def answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=2) as answer:  # noqa: S310 - a loopback address
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prometheus that has scraped the program several times, while requests were refused."""
    folder = tmp_path_factory.mktemp("scraped")
    service, listen, prometheus = free_port(), free_port(), free_port()
    (folder / "runs.jsonl").write_text("".join(f'{{"job_id": "{n}", "experiment_id": "1"}}\n' for n in range(6000)))
    configuration = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    configuration = configuration.replace("127.0.0.1:9464", f"127.0.0.1:{listen}").replace("15s", "1s")
    (folder / "prometheus.yml").write_text(configuration)
    (folder / "alerts.yml").write_text((DEPLOY / "prometheus" / "alerts.yml").read_text())
    target = ("--endpoint", f"http://127.0.0.1:{service}", "--platform-id", "p", "--workspace", "w", "--auth", "none")
    with ExitStack() as opened:
        simulate = ("simulate", "--port", service, "--platform-id", "p", "--workspace", "w")
        faults = ("--limiter", "bucket:100/s", "--faults", "error_503=0.05")
        opened.enter_context(running(*PROGRAM, *simulate, *faults, folder=folder))
        run = ("run", *target, "--follow", "--drain-timeout", 1, "--listen", f"127.0.0.1:{listen}", "runs.jsonl")
        opened.enter_context(running(*PROGRAM, *run, folder=folder))
        wait_until(lambda: answers(f"http://127.0.0.1:{listen}/readyz"))
        storage = ("--config.file=prometheus.yml", "--storage.tsdb.path=data")
        web = f"--web.listen-address=127.0.0.1:{prometheus}"
        opened.enter_context(running("prometheus", *storage, web, folder=folder))
        address = f"http://127.0.0.1:{prometheus}"
        wait_until(lambda: answers(f"{address}/-/ready"))
        wait_until(lambda: answered(address, 'rate(ingestor_attempts_total{class="throttled"}[1m]) > 0'))
        yield address
