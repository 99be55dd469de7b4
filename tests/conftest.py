import signal
from secrets import randbelow

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.workermanage import WorkerController

from tests.support.distribution import OneServer

hypothesis.settings.register_profile("ingestor", deadline=None)  # a busy machine is no fault of an example
hypothesis.settings.load_profile("ingestor")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("ingestor")
    group.addoption("--seed", type=int, default=randbelow(10**6), help="what crashes and lives are drawn from")
    group.addoption("--kills", type=int, default=50, help="processes to kill")
    group.addoption("--lives", type=int, default=2000, help="lives to simulate")


def pytest_configure_node(node: WorkerController) -> None:
    """Tell a process of its own for tests what all draw from."""
    node.workerinput["seed"] = node.config.getoption("--seed")


def pytest_configure(config: pytest.Config) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    if hasattr(config, "workerinput"):
        config.option.seed = config.workerinput["seed"]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> OneServer:
    return OneServer(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the long tests, which are those with a timeout of their own: no process then ends with one alone."""
    items.sort(key=lambda item: item.get_closest_marker("timeout") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    seed = config.getoption("--seed")
    terminalreporter.write_line(f"crashes and lives were drawn from seed {seed}: --seed {seed} repeats them")


@pytest.fixture(scope="session")
def seed(pytestconfig: pytest.Config) -> int:
    return int(pytestconfig.getoption("--seed"))
