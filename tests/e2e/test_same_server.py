"""A tracking server has no identity but its address: a second one must be named as the same server, or is refused."""

from collections.abc import Iterator

import pytest

import ingestor
from ingestor.policy.identity import Scope, retry_token
from tests.e2e.program import Ended, Program
from tests.support.tracking_server import TrackingServer, tracking_server

RECORDS = [{"job_id": name, "experiment_id": "1", "run_name": name} for name in "abc"]


@pytest.fixture
def server() -> Iterator[TrackingServer]:
    """A server with three addresses."""
    with tracking_server("127.0.0.1", "127.0.0.2", "127.0.0.3") as server:
        yield server


async def run(program: Program, url: str, *words: str, command: str = "run") -> Ended:
    source = [program.write("runs.jsonl", RECORDS)] if command == "run" else []
    return await program.run(command, "--tracking-uri", url, *source, *words)


async def test_another_address_is_refused_and_both_ways_out_are_named(program: Program, server: TrackingServer) -> None:
    first, second, _ = server.urls
    assert (await run(program, first)).code == 0
    for command in ("run", "resume", "reconcile"):
        refused = await run(program, second, command=command)
        assert refused.code == 2, command
        for words in (first, second, "--same-server", "--batch default-2", str(program.folder / ".ingestor")):
            assert words in refused.stderr
    assert server.names == ["a", "b", "c"]


async def test_the_same_server_under_a_new_address_gets_nothing_twice_and_is_known_from_then_on(
    program: Program, server: TrackingServer
) -> None:
    first, second, third = server.urls
    for url, words in [
        (first, ()),
        (second, ("--same-server",)),
        (second, ()),
        (third, ("--same-server",)),
        (first, ()),
    ]:
        assert (await run(program, url, *words)).code == 0, url
    for command in ("resume", "reconcile"):
        assert (await run(program, third, command=command)).code == 0
    assert server.names == ["a", "b", "c"]
    status = await program.run("status")
    assert f"other addresses of the server: {second}, {third}" in status.stdout
    assert {row["platform"] for row in program.rows()} == {first}


async def test_new_records_keep_the_tokens_of_the_first_address(program: Program, server: TrackingServer) -> None:
    first, second, _ = server.urls
    assert (await run(program, first)).code == 0
    more = program.write("more.jsonl", [{"job_id": "d", "run_name": "d"}])
    assert (await program.run("run", "--tracking-uri", second, "--same-server", more)).code == 0
    token = retry_token(Scope(first, "", "default"), "d")
    assert {"key": "ingestor.token", "value": token} in server.bodies[-1]["tags"]


async def test_another_server_takes_another_batch(program: Program, server: TrackingServer) -> None:
    first, second, _ = server.urls
    assert (await run(program, first)).code == 0
    assert (await run(program, second, "--batch", "second")).code == 0
    assert (await run(program, second, "--batch", "second")).code == 0
    assert server.names == [*"aabbcc"]
    assert (await run(program, first, "--batch", "second")).code == 2
    assert (await run(program, first, command="reconcile")).code == 0


async def test_spellings_of_one_address_are_one_server(program: Program, server: TrackingServer) -> None:
    first = server.urls[0]
    port = first.rpartition(":")[2]
    for url in (first, f"{first}/", f"http://LOCALHOST:{port}", f"http://[::1]:{port}//"):
        ended = await run(program, url)
        assert "--same-server" not in ended.stderr
    assert server.names == ["a", "b", "c"]


async def test_a_batch_that_never_reached_a_server_may_go_to_another_address(
    program: Program, server: TrackingServer
) -> None:
    assert (await run(program, "http://127.0.0.1:9", "--max-retry-time", "1")).code == 4
    assert (await run(program, server.urls[0])).code == 0
    refused = await run(program, "http://127.0.0.1:9")
    assert (refused.code, server.urls[0] in refused.stderr) == (2, True)
    assert server.names == ["a", "b", "c"]


async def test_the_library_asks_as_well(program: Program, server: TrackingServer) -> None:
    state = program.folder / "state"
    first, second, _ = (ingestor.mlflow(url) for url in server.urls)
    assert (await ingestor.ingest(RECORDS, first, state=state, senders=0)).exit_code == 0
    with pytest.raises(ingestor.UsageError, match="--same-server"):
        await ingestor.ingest(RECORDS, second, state=state, senders=0)
    with pytest.raises(ingestor.UsageError, match="--same-server"):
        await ingestor.reconcile(second, state=state, senders=0)
    report = await ingestor.ingest(RECORDS, second, state=state, senders=0, same_server=True)
    assert report.counts["already_done"] == 3
    assert (await ingestor.reconcile(second, state=state, senders=0)).exit_code == 0
