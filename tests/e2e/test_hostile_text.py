"""Text of records, file names and answers reaches no terminal as it is, whatever it contains."""

import csv
import os
import pty
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.e2e.program import Ended, Program

CONTROLS = "\x1b]0;owned\x07 \x9b31m \x7f \u202e \u2066 \u200f"
EVIL = f"before{CONTROLS}after"


@asynccontextmanager
async def hostile() -> AsyncIterator[str]:
    """A service whose answers are full of control characters."""
    count = 0

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal count
        count += 1
        if "experiments" in request.path:
            found = [{"experiment_id": EVIL, "name": EVIL, "lifecycle_stage": "deleted"}]
            return web.json_response({"experiments": found})
        if count % 2:
            return web.json_response({"code": EVIL, "message": EVIL}, status=400)
        return web.json_response({"run": {"info": {"run_id": f"{EVIL}{count}", "experiment_id": EVIL}}})

    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def assert_harmless(shown: str, where: str) -> None:
    assert [char for char in shown if not char.isprintable() and char not in "\r\n\t"] == [], where


def write(program: Program) -> str:
    good = [
        {"job_id": f"{EVIL}{n}", "experiment_id": EVIL, "run_name": EVIL, "tags": [{"key": EVIL, "value": EVIL}]}
        for n in range(12)
    ]
    return program.write(f"{EVIL}.jsonl", [*good, {EVIL: 1}, {"job_id": EVIL, "start_time": EVIL}])


async def test_every_command_escapes_what_others_wrote(program: Program) -> None:
    source, said = write(program), dict[tuple[str, ...], Ended]()
    async with hostile() as url:
        target = ("--tracking-uri", url, "--no-retry-tokens")
        for words in (
            ("run", *target, "--max-attempts", "1", "--concurrency", "1", "--progress", "on", source),
            ("run", *target, "--max-attempts", "1", "--output", "json", "--log", "-", source),
            ("resume", *target, "--max-attempts", "1"),
            ("reconcile", *target),
            ("check", source),
            ("check", "--output", "json", source),
            ("check", "--online", *target, source),
            ("doctor", *target, source),
            ("doctor", *target, "--output", "json", source),
            ("status",),
            ("status", "--output", "json"),
            ("results",),
            ("report", "--format", "text", "--to", "-"),
            ("report", "--format", "html", "--to", "-"),
            ("forget", "--outcome", "failed"),
            ("forget", "--job-id", EVIL),
            ("prune", "--older-than", "90d"),
            ("prune", "--older-than", EVIL),
            ("config", "--batch", "b", "--state", EVIL),
            ("run", *target, EVIL),
            (EVIL,),
        ):
            ended = await program.run(*words)
            assert_harmless(ended.stdout + ended.stderr, " ".join(words[:3]))
            said[words[0], *words[1:3]] = ended
    assert {it.code for words, it in said.items() if words[0] in ("report", "status", "results", "config")} == {0}
    assert "owned" in said["report", "--format", "text"].stdout
    assert "owned" in said["report", "--format", "html"].stdout
    watching = await program.start("status", "--watch")
    first = await watching.next_line()
    watching.send(signal.SIGINT)
    watched = await watching.end()
    assert_harmless(first + watched.stdout + watched.stderr, "status --watch")
    assert_harmless((program.folder / ".ingestor" / "log.jsonl").read_text(), "log")
    assert_harmless((program.folder / ".ingestor" / "rejects.jsonl").read_text(), "rejects")


@pytest.mark.parametrize("is_terminal", [True, False], ids=["on a terminal", "in a file"])
async def test_csv_is_escaped_on_a_terminal_and_exact_in_a_file(program: Program, is_terminal: bool) -> None:
    source = write(program)
    async with hostile() as url:
        await program.run("run", "--tracking-uri", url, "--max-attempts", "1", source)
    if is_terminal:
        reading, writing = pty.openpty()
        running = await program.start("results", "--format", "csv", stdout=writing)
        os.close(writing)
        ended = await running.end()
        shown = os.read(reading, 100_000).decode()
        os.close(reading)
        assert ended.code == 0
        assert_harmless(shown, "csv")
        assert "before\\x1b]0;owned" in shown
    else:
        ended = await program.run("results", "--format", "csv")
        assert EVIL in ended.stdout


async def test_a_job_that_looks_like_a_formula_is_text_in_csv_and_exact_in_json(program: Program) -> None:
    source = program.write("runs.jsonl", [{"job_id": f"{first}1+1", "run_name": "r"} for first in "=+-@"])
    async with hostile() as url:
        await program.run("run", "--tracking-uri", url, "--max-attempts", "1", source)
    table = await program.run("results", "--format", "csv")
    lines = await program.run("results")
    assert [row["job_id"] for row in csv.DictReader(table.stdout.splitlines())] == ["'=1+1", "'+1+1", "'-1+1", "'@1+1"]
    assert [row["job_id"] for row in lines.lines] == ["=1+1", "+1+1", "-1+1", "@1+1"]
