"""Logs that the real logrotate rotates, in all its modes, while they are followed by processes that are killed."""

import asyncio
import random
import shutil
from pathlib import Path
from signal import SIGTERM

import pytest

from ingestor.simulator.sample import records
from ingestor.simulator.server import Simulator
from tests.e2e.program import Document, Program, aim, to_lines
from tests.e2e.proof import assert_each_is_one_run

ROTATIONS = 20
EACH = 12
"""Records that are written between two rotations."""

MODES = {
    "rename": "create",
    "compress at once": "create\ncompress",
    "compress later": "create\ncompress\ndelaycompress",
    "copy and truncate": "copytruncate",
    "copy, truncate and compress": "copytruncate\ncompress",
    "copy": "copy",
    "rename a copy": "create\nrenamecopy\ncompress",
}


class Logrotate:
    """Rotates one log by force."""

    def __init__(self, log: Path, mode: str) -> None:
        program = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin:/bin")
        assert program is not None, "install logrotate: sh .ci/require logrotate"
        folder = log.parent.parent
        self._configuration = folder / "logrotate.conf"
        self._configuration.write_text(
            f"{log} {{\nsu\nrotate 100\nmissingok\nnotifempty\n{mode}\n}}\n".replace("su\n", "")
        )
        self._configuration.chmod(0o600)
        self._words = [program, "--force", "--state", str(folder / "logrotate.state"), str(self._configuration)]

    async def rotate(self) -> None:
        process = await asyncio.create_subprocess_exec(*self._words, stderr=asyncio.subprocess.PIPE)
        _, stderr = await process.communicate()
        assert process.returncode == 0, stderr.decode()


@pytest.fixture
def log(program: Program) -> Path:
    (program.folder / "logs").mkdir(mode=0o755)
    return program.folder / "logs" / "app.log"


def append(log: Path, documents: list[Document]) -> None:
    with log.open("ab") as file:
        file.write(to_lines(documents))


@pytest.mark.parametrize("mode", MODES)
async def test_every_record_of_twenty_rotations_is_one_run_also_where_the_program_is_killed(
    program: Program, simulator: Simulator, log: Path, mode: str
) -> None:
    wanted = list(records(ROTATIONS * EACH))
    logrotate, dice = Logrotate(log, MODES[mode]), random.Random(mode)
    command = ("run", "--follow", "--output", "json", *aim(simulator), "logs/app.log*")
    running = await program.start(*command)
    for number in range(ROTATIONS):
        for part in (wanted[number * EACH :][: EACH // 2], wanted[number * EACH :][EACH // 2 : EACH]):
            append(log, part)
            await asyncio.sleep(dice.choice([0.0, 0.0, 0.05, 0.1]))
        if number in (6, 13):
            written = (number + 1) * EACH - EACH // 2
            await running.until(lambda: simulator.statistics.run_count > written - 3 * EACH)  # noqa: B023 - in this turn
            await running.die()
            running = await program.start(*command)
        await logrotate.rotate()
    await running.until(lambda: simulator.statistics.run_count == len(wanted))
    running.send(SIGTERM)
    ended = await running.end()

    assert (ended.code, ended.summary["left"]) == (0, 0)
    assert_each_is_one_run(simulator, wanted, program.rows())
    assert program.events("run.duplicate") == []
    assert program.events("run.rejected") == []
