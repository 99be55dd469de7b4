"""`--metrics-file`: written whole, for another user, whatever the end is."""

import os
import signal
import socket
import stat
from math import isnan
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from ingestor.simulator.options import InjectedFault, SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, aim

FILE = ("--metrics-file", "ingestor.prom")


def read(program: Program, name: str, label: str = "") -> dict[str, float]:
    text = (program.folder / "ingestor.prom").read_text()
    families = text_string_to_metric_families(text)
    found = {it.labels.get(label, ""): it.value for family in families for it in family.samples if it.name == name}
    assert found, name
    return found


def last(program: Program) -> tuple[float, float]:
    """Return the last exit code and the time of the last success."""
    names = ("ingestor_last_exit_code", "ingestor_last_success_timestamp_seconds")
    code, success = (read(program, name)[""] for name in names)
    return code, success


async def test_the_file_has_the_counts_and_the_exit_code_and_every_user_may_read_it(program: Program) -> None:
    async with Simulator() as simulator:
        before = os.umask(0o077)
        try:
            ended = await program.ingest(*aim(simulator), *FILE, program.write("runs.jsonl", records(30)))
        finally:
            os.umask(before)
        assert ended.code == 0
    assert read(program, "ingestor_records_total", "outcome")["created"] == 30
    assert read(program, "ingestor_records_read_total")[""] == 30
    assert read(program, "ingestor_phase", "state")["finished"] == 1
    assert read(program, "ingestor_attempt_latency_seconds_count")[""] == 30
    code, success = last(program)
    assert (code, success > 0) == (0, True)
    assert stat.S_IMODE((program.folder / "ingestor.prom").stat().st_mode) == 0o644
    assert not list(program.folder.glob(".*.tmp"))


async def test_a_failure_is_written_too_and_the_last_success_stays(program: Program) -> None:
    async with Simulator() as simulator:
        assert (await program.ingest(*aim(simulator), *FILE, program.write("runs.jsonl", records(3)))).code == 0
        _, success = last(program)

        ended = await program.ingest(*aim(simulator), *FILE, "missing.jsonl")
        assert ended.code == 2
        assert last(program) == (2, success)

        ended = await program.ingest(*aim(simulator), *FILE, program.write("bad.jsonl", b'{"bad": 1}\n'))
        assert ended.code == 3
        assert last(program) == (3, success)
        assert read(program, "ingestor_records_total", "outcome")["rejected"] == 1

        ended = await program.ingest(*aim(simulator, workspace="other"), *FILE, program.write("more.jsonl", records(9)))
        assert ended.code == 4
        assert last(program) == (4, success)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = await program.ingest(*aim(simulator), *FILE, "--listen", port, "runs.jsonl")
    assert ended.code == 2
    assert last(program) == (2, success)


async def test_a_run_that_is_stopped_by_a_signal_or_by_its_budget_leaves_its_exit_code(program: Program) -> None:
    async with Simulator(SimulatorOptions(faults={InjectedFault.HANG: 1.0})) as simulator:
        words = (*aim(simulator), *FILE, "--drain-timeout", "0", program.write("runs.jsonl", records(50)))
        running = await program.start("run", *words)
        await running.until(lambda: simulator.statistics.in_flight > 0)
        running.send(signal.SIGTERM)
        assert (await running.end()).code == 75
        assert last(program)[0] == 75
        ended = await program.ingest("--time-budget", "0.3", "--budget-exit", "0", *words)
        assert last(program)[0] == ended.code


async def test_it_is_written_while_the_batch_runs_and_keeps_the_last_exit_code(program: Program) -> None:
    async with Simulator(SimulatorOptions(latency=0.01)) as simulator:
        assert (await program.ingest(*aim(simulator), *FILE, program.write("bad.jsonl", b"{}\n"))).code == 3
        words = (*aim(simulator), *FILE, "--rate", "20", program.write("runs.jsonl", records(2000)))
        running = await program.start("run", *words)
        await running.until(lambda: read(program, "ingestor_phase", "state")["running"] == 1)
        assert last(program)[0] == 3
        second = await program.run("run", *words)
        assert second.code == 75, "the state directory is in use"
        assert last(program)[0] == 3, "the file belongs to the run that uses the state directory"
        running.send(signal.SIGTERM)
        await running.end()


async def test_a_file_of_another_kind_is_not_overwritten_and_a_missing_folder_is_named(program: Program) -> None:
    async with Simulator() as simulator:
        mine = program.write("runs.jsonl", records(3))
        ended = await program.ingest(*aim(simulator), "--metrics-file", mine, mine)
        assert ended.code == 2
        assert "runs.jsonl is another file: it would be overwritten" in ended.stderr
        os.mkfifo(program.folder / "pipe")
        ended = await program.ingest(*aim(simulator), "--metrics-file", "pipe", mine)
        assert ended.code == 2
        assert "--metrics-file: pipe is no regular file" in ended.stderr
        for used in ("log.jsonl", ".ingestor/rejects.jsonl", ".ingestor/journal.db"):
            ended = await program.ingest(*aim(simulator), "--log", "log.jsonl", "--metrics-file", used, mine)
            assert ended.code == 2
            assert f"--metrics-file: {used} is also " in ended.stderr
        ended = await program.ingest(*aim(simulator), "--metrics-file", "no/where.prom", mine)
        assert ended.code == 2
        assert "--metrics-file: files can't be made in no" in ended.stderr
        assert simulator.statistics.requests == 0


async def test_batches_have_their_own_files_and_never_a_link_of_somebody_else(program: Program, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    async with Simulator() as simulator:
        file = program.write("runs.jsonl", records(2))
        (program.folder / ".ingestor.prom.tmp").symlink_to(precious)
        assert (await program.ingest(*aim(simulator), *FILE, "--batch", "a", file)).code == 0
        assert precious.read_text() == "mine"
        assert (await program.ingest(*aim(simulator), *FILE, "--batch", "b", "missing.jsonl")).code == 2
    code, success = last(program)
    assert (code, success) == (2, 0), "what the file knew was about another batch"
    assert isnan(read(program, "ingestor_oldest_unresolved_timestamp_seconds")[""])
