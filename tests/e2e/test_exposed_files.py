"""Commands that send warn of a file with a secret that other users can read, and send all the same."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ingestor.simulator.options import SimulatorOptions
from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Program, at


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that every user may enter."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def write(folder: Path, name: str, mode: int) -> str:
    file = folder / name
    file.write_text("a-token-of-nobody")
    file.chmod(mode)
    return str(file)


@pytest.mark.parametrize("command", ["run", "resume", "reconcile", "check --online"])
@pytest.mark.parametrize(("mode", "warnings"), [(0o644, 1), (0o600, 0)])
async def test_a_token_that_every_user_can_read_is_a_warning(
    program: Program, public: Path, command: str, mode: int, warnings: int
) -> None:
    token, source = write(public, "token", mode), program.write("runs.jsonl", records(3))
    async with Simulator(SimulatorOptions(bearer_token="a-token-of-nobody")) as simulator:
        common = (*at(simulator), "--auth", "bearer", "--bearer-token-file", token)
        await program.run("run", *common, source)
        words = command.split()
        ended = await program.run(*words, *common, *([source] if words[0] in ("run", "check") else []))
    assert ended.code == 0
    assert (
        ended.stderr.count(f"warning: {token} holds a secret, and every user of this machine can read it") == warnings
    )


async def test_a_token_for_the_page_is_looked_at_too(program: Program, public: Path) -> None:
    token, source = write(public, "listen", 0o644), program.write("runs.jsonl", records(3))
    async with Simulator() as simulator:
        command = (*at(simulator), "--auth", "none", "--listen", "127.0.0.1:0", "--listen-token-file", token)
        ended = await program.run("run", *command, source)
        examined = await program.run("doctor", *command, source)
    assert (ended.code, examined.code) == (0, 0)
    assert f"warning: {token} holds a secret" in ended.stderr
    assert f"{token} holds a secret" in examined.stdout
