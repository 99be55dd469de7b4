"""Which tests share a process where several run them."""

from xdist.scheduler import LoadScopeScheduling

TOGETHER = "tests/mlflow/"


class OneServer(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Any process takes any test; only those that share the one MLflow server stay in one, and begin first.

    xdist's own groups do not hold: since pytest 9.2 it can't add their names to the tests' ids.
    """

    def _split_scope(self, nodeid: str) -> str:
        return TOGETHER if nodeid.startswith(TOGETHER) else nodeid
