"""A task beside a block ends with it, however it ends."""

import asyncio

import pytest

from ingestor.system.tasks import in_background


@pytest.mark.parametrize("error", [None, ValueError("of the block")])
async def test_the_task_runs_while_the_block_does_and_has_ended_after_it(error: ValueError | None) -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append("began")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("ended")

    async def block() -> None:
        async with in_background(work()):
            await asyncio.sleep(0)
            assert seen == ["began"]
            if error is not None:
                raise error

    if error is None:
        await block()
    else:
        with pytest.raises(ValueError, match="of the block"):
            await block()
    assert seen == ["began", "ended"]
