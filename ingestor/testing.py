"""Services for the tests of programs that use `ingestor`: a simulated AI Data Platform, and a service in memory.

`Simulator` is a server on loopback, which can limit its rate, also with any limiter that `parse_limiter` knows, and
inject faults. It counts what it gets:

    import ingestor
    from ingestor.testing import PLATFORM_ID, WORKSPACE_KEY, Simulator

    async def test_every_record_becomes_a_run(tmp_path):
        async with Simulator() as simulator:
            target = ingestor.aidp(
                endpoint=simulator.url, platform_id=PLATFORM_ID, workspace=WORKSPACE_KEY, auth="none"
            )
            report = await ingestor.ingest([{"run_name": "a"}], target, state=tmp_path, senders=0)
        assert report.counts["created"] == simulator.statistics.run_count == 1

`MemoryService` implements the port `Service` without a network, for tests of parts of a pipeline.
"""

from ingestor.simulator.limiter_spec import parse_limiter
from ingestor.simulator.memory_service import MemoryService
from ingestor.simulator.options import PLATFORM_ID, WORKSPACE_KEY, InjectedFault, RetryAfter, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from ingestor.simulator.statistics import Statistics

__all__ = [
    "PLATFORM_ID",
    "WORKSPACE_KEY",
    "InjectedFault",
    "MemoryService",
    "RetryAfter",
    "Simulator",
    "SimulatorOptions",
    "Statistics",
    "parse_limiter",
    "records",
]
