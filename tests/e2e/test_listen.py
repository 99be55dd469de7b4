"""`--listen` of the real program: probes, metrics, status and look-up while it runs, and how it ends."""

import asyncio
import re
import signal
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import TIMEOUT, Document, Program, Running, aim, to_lines
from tests.server.client import Answer, ask

TOKEN = "a-token-that-nobody-guesses"


async def url_of(running: Running) -> str:
    """Return where it listens: the port is a free one."""
    line = await running.until_it_prints("listening on")
    found = re.search(r"http://\S+/", line)
    assert found is not None, line
    return found[0]


async def until(url: str, target: str, condition: Any) -> Answer:
    """Ask until the answer is as wanted."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            answer = await ask(url, target)
            if condition(answer):
                return answer
            await asyncio.sleep(0.02)


def metrics_of(text: str, name: str, label: str = "") -> dict[str, float]:
    families = text_string_to_metric_families(text)
    return {it.labels.get(label, ""): it.value for family in families for it in family.samples if it.name == name}


async def test_a_running_batch_answers_and_the_counts_always_add_up(program: Program) -> None:
    lines: list[Document] = [*records(400), {"bad": True}, *list(records(400))[:50]]
    async with Simulator(SimulatorOptions(rate=200)) as simulator:
        running = await program.start(
            "run", *aim(simulator), "--listen", "127.0.0.1:0", program.write("runs.jsonl", lines)
        )
        url = await url_of(running)
        assert (await ask(url, "/livez")).status == 200
        ready = await until(url, "/readyz", lambda it: it.status == 200)
        assert ready.document["sentence"].startswith("sending")
        assert all(check["ok"] for check in ready.document["checks"].values())

        status = await until(url, "/status", lambda it: it.document["counts"]["created"] >= 50)
        counts = status.document["counts"]
        assert counts["read"] == sum(counts.values()) - counts["read"]
        assert (status.document["phase"], status.document["batch"]) == ("running", "default")
        metrics = (await ask(url, "/metrics")).body
        assert metrics_of(metrics, "ingestor_records_total", "outcome")["created"] >= counts["created"]
        assert metrics_of(metrics, "ingestor_commit_seconds_count")[""] > 0

        job = await until(url, f"/runs?job_id={lines[0]['job_id']}", lambda it: it.status == 200)
        assert job.document["runs"][0]["outcome"] == "created"
        assert job.document["runs"][0]["run_id"]
        assert job.document["runs"][0]["opc_request_id"]
        assert (await ask(url, "/runs?job_id=missing")).status == 404
        assert (await ask(url, "/")).status == 200

        last = await until(url, "/status?wait=5", lambda it: it.document["phase"] == "finished")
        ended = await running.end()
        assert ended.code == 3
        assert last.document["end"]["exit_code"] == 3
        assert last.document["sentence"].startswith("finished with exit code 3")
        counts = last.document["counts"]
        assert counts == counts | {"read": 451, "created": 400, "duplicate": 50, "rejected": 1, "left": 0}
        (failure,) = [it for it in last.document["failures"] if it["outcome"] == "rejected"]
        assert (failure["count"], failure["line"]) == (1, 401)
        assert failure["advice"]


async def test_a_service_that_is_down_makes_it_unready_and_says_since_when(program: Program) -> None:
    async with Simulator(SimulatorOptions(latency=0.01)) as simulator:
        file = program.write("runs.jsonl", records(3000))
        running = await program.start(
            "run", *aim(simulator), "--rate", "300", "--listen", "127.0.0.1:0", "--drain-timeout", "0", file
        )
        url = await url_of(running)
        await until(url, "/readyz", lambda it: it.status == 200)
        simulator.set_available(False)
        down = await until(url, "/readyz", lambda it: it.status == 503)
        assert down.document["sentence"].startswith("waiting for the service since ")
        assert not down.document["checks"]["service"]["ok"]
        assert down.document["checks"]["credentials"]["ok"]
        assert (await ask(url, "/livez")).status == 200
        assert (await ask(url, "/status")).document["sentence"][:31] == down.document["sentence"][:31]
        simulator.set_available(True)
        await until(url, "/readyz", lambda it: it.status == 200)
        running.send(signal.SIGTERM)
        assert (await running.end()).code == 75


async def test_open_pages_and_held_requests_do_not_delay_the_end(program: Program) -> None:
    async with Simulator(SimulatorOptions(latency=0.01)) as simulator:
        file = program.write("runs.jsonl", records(3000))
        running = await program.start("run", *aim(simulator), "--rate", "50", "--listen", "127.0.0.1:0", file)
        url = await url_of(running)
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        idle = [await asyncio.open_connection(host, int(port)) for _ in range(3)]
        idle[0][1].write(b"GET /status?wait=10 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        idle[1][1].write(b"GET /metrics HTTP/1.1\r\nHost: loc")
        await until(url, "/readyz", lambda it: it.status == 200)
        running.send(signal.SIGTERM)
        began = time.monotonic()
        ended = await running.end()
        assert time.monotonic() - began < 4.0, "a request takes 10 ms here, and the server at most 2 s"
        assert ended.code == 75
        assert b'"phase":"finished"' in await idle[0][0].read()
        for _, writer in idle:
            writer.close()


async def test_it_answers_before_the_state_directory_is_open_and_while_another_run_uses_it(program: Program) -> None:
    async with Simulator(SimulatorOptions(latency=0.01)) as simulator:
        file = program.write("runs.jsonl", records(3000))
        first = await program.start("run", *aim(simulator), "--rate", "50", "--listen", "127.0.0.1:0", file)
        url = await url_of(first)
        await until(url, "/readyz", lambda it: it.status == 200)
        second = await program.run("run", *aim(simulator), "--listen", "127.0.0.1:0", file)
        assert second.code == 75
        assert "listening on" in second.stderr
        third = await program.run("run", *aim(simulator), "--listen", url.split("/")[2], file)
        assert (third.code, "is in use by" in third.stderr) == (75, True), "not 2: the schedule overlaps"
        first.send(signal.SIGTERM)
        await first.end()


async def test_a_port_in_use_and_a_bad_token_file_are_errors_of_the_user(program: Program, tmp_path: Path) -> None:
    async with Simulator() as simulator:
        file = program.write("runs.jsonl", records(1))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            ended = await program.ingest(*aim(simulator), "--listen", f"127.0.0.1:{port}", file)
        assert ended.code == 2
        assert f"--listen: can't listen on 127.0.0.1:{port}: address already in use" in ended.stderr
        (tmp_path / "token").write_text("short")
        words = (*aim(simulator), "--listen", "127.0.0.1:0", "--listen-token-file", str(tmp_path / "token"), file)
        ended = await program.ingest(*words)
        assert ended.code == 2
        assert "INGESTOR_LISTEN_TOKEN_FILE" in ended.stderr
        assert simulator.statistics.requests == 0
        for wrong in ("9464", "nowhere.example:1", "127.0.0.1:99999"):
            assert (await program.ingest(*aim(simulator), "--listen", wrong, file)).code == 2


async def test_with_a_token_only_probes_and_metrics_are_open(program: Program, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    env = {"INGESTOR_LISTEN_TOKEN_FILE": str(tmp_path / "token")}
    async with Simulator(SimulatorOptions(latency=0.01)) as simulator:
        words = ("run", *aim(simulator), "--rate", "50", "--listen", "0.0.0.0:0", "--listen-name", "a.example.com")
        running = await program.start(*words, program.write("runs.jsonl", records(3000)), env=env)
        url = (await url_of(running)).replace("0.0.0.0", "127.0.0.1")
        for target in ("/", "/status", "/runs?job_id=x"):
            assert (await ask(url, target)).status == 401
        assert (await ask(url, "/status", Authorization=f"Bearer {TOKEN}", host="a.example.com")).status == 200
        assert (await ask(url, "/status", Authorization=f"Bearer {TOKEN}", host="b.example.com")).status == 403
        for target in ("/livez", "/metrics"):
            assert (await ask(url, target)).status == 200
        running.send(signal.SIGTERM)
        ended = await running.end()
        assert TOKEN not in ended.stdout + ended.stderr


async def test_beyond_this_machine_nothing_of_a_record_is_shown_without_a_token(program: Program) -> None:
    async with Simulator(SimulatorOptions(latency=0.01)) as simulator:
        words = ("run", *aim(simulator), "--rate", "50", "--listen", "0.0.0.0:0")
        running = await program.start(*words, program.write("runs.jsonl", records(3000)))
        url = (await url_of(running)).replace("0.0.0.0", "127.0.0.1")
        for target in ("/", "/status", "/runs?job_id=x", "/plots"):
            refused = await ask(url, target)
            assert (refused.status, "none is set" in refused.body) == (403, True)
        assert (await ask(url, "/metrics")).status == 200
        running.send(signal.SIGTERM)
        await running.end()


async def test_after_the_end_of_a_followed_batch_page_summary_and_log_say_the_same(
    program: Program, simulator: Simulator
) -> None:
    wanted = list(records(50))
    program.write("app.log", wanted[:40])
    command = ("run", "--follow", "--output", "json", "--listen", "127.0.0.1:0", *aim(simulator))
    running = await program.start(*command, "app.log")
    url = await url_of(running)
    await until(url, "/status", lambda it: it.document["counts"]["created"] == 40)
    held = asyncio.create_task(ask(url, "/status?wait=60"))
    with (program.folder / "app.log").open("ab") as file:
        file.write(to_lines(wanted[40:]))
    running.send(signal.SIGTERM)
    last, ended = (await held).document, await running.end()
    assert last["sentence"] == "finished with exit code 0: 50 in, 0 left"
    assert (last["counts"]["left"], last["lag"]["bytes"], [it["state"] for it in last["files"]]) == (0, 0, ["done"])
    assert (ended.summary["exhausted"], ended.summary["unread_bytes"]) == (True, 0)
    [finished] = program.events("batch.finished")
    for read in (*ended.summary["sources"], *finished["sources"]):
        assert (read["records"], read["complete"]) == (50, True)


async def test_a_followed_batch_that_stops_early_says_everywhere_how_much_it_did_not_read(program: Program) -> None:
    file = program.write("app.log", [{**record, "tags": {"filler": "x" * 200}} for record in records(20_000)])
    size = (program.folder / file).stat().st_size
    async with Simulator() as simulator:
        simulator.set_available(False)
        command = ("run", "--follow", "--output", "json", "--drain-timeout", "1", "--listen", "127.0.0.1:0")
        running = await program.start(*command, *aim(simulator), file)
        url = await url_of(running)
        await until(url, "/status", lambda it: it.document["sentence"].startswith("waiting for the service"))
        held = asyncio.create_task(ask(url, "/status?wait=60"))
        running.send(signal.SIGTERM)
        last, ended = (await held).document, await running.end()
    unread, left = ended.summary["unread_bytes"], ended.summary["left"]
    assert ended.code == 75
    assert unread / size == pytest.approx(1 - left / 20_000, abs=0.02), "what was read and has no outcome is left"
    [finished] = program.events("batch.finished")
    assert (finished["unread_bytes"], finished["left"]) == (unread, left)
    assert (last["lag"]["bytes"], last["counts"]["left"]) == (unread, left)
    assert f" 0 in, {left:,} left, and {unread / 2**20:.1f} MiB of input are not read" in last["sentence"]
    assert not ended.summary["sources"][0]["complete"]
