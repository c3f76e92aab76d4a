"""One timer ends what takes too long, and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import CdpError, Code
from services.runtime.deadlines import Deadlines


async def test_what_is_late_is_cancelled_and_told() -> None:
    deadlines, ended = Deadlines(0.1), []

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    async def soon(n: int) -> int:
        await asyncio.sleep(0.001)
        return n

    began_s = asyncio.get_running_loop().time()
    late = [asyncio.create_task(deadlines.within(never())) for _ in range(3)]
    assert await asyncio.gather(*[deadlines.within(soon(n)) for n in range(50)]) == list(range(50))
    for task in late:
        with pytest.raises(CdpError) as refused:
            await task
        assert (refused.value.code, refused.value.reason) == (Code.UNAVAILABLE, "CALL_TOO_LONG")
        assert task.cancelling() == 0
    assert len(ended) == 3
    assert asyncio.get_running_loop().time() - began_s >= 0.1


async def test_other_ends_pass_as_they_are() -> None:
    deadlines = Deadlines(60.0)

    async def fail() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await deadlines.within(fail())
    waiting = asyncio.create_task(deadlines.within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_late_result_is_not_lost_to_a_handler_that_finishes_at_its_cancellation() -> None:
    deadlines = Deadlines(0.05)

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done after all"
        return "never"

    assert await deadlines.within(stubborn()) == "done after all"
