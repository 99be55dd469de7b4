from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.program import Program


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    program = Program(tmp_path)
    yield program
    await program.close()
