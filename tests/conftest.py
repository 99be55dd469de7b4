import signal
from secrets import randbelow

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.workermanage import WorkerController

from tests.support.distribution import OneServer

hypothesis.settings.register_profile("ingestor", deadline=None)  # a busy machine is no error of the code
hypothesis.settings.load_profile("ingestor")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ingestor")
    group.addoption("--seed", type=int, default=randbelow(10**6), help="seed of the random crashes and lives")
    group.addoption("--kills", type=int, default=10, help="how many processes to kill")
    group.addoption("--lives", type=int, default=2000, help="how many lives to simulate")


def pytest_configure_node(node: WorkerController) -> None:
    """Give every worker process the same seed."""
    node.workerinput["seed"] = node.config.getoption("--seed")


def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    if hasattr(config, "workerinput"):
        config.option.seed = config.workerinput["seed"]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneServer:
    return OneServer(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the long tests, which have a timeout of their own, so that no worker ends with one alone."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    seed = config.getoption("--seed")
    terminalreporter.write_line(f"the crashes and lives come from seed {seed}: --seed {seed} repeats them")


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--seed"))
