"""Sleeping until something is true, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class LoopWaiter:
    """Tasks of one event loop that wait for a predicate; whoever changes the world calls `wake`."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    async def wait_for(self, ready: Callable[[], bool], timeout_s: float) -> bool:
        """True as soon as `ready()` holds (asked at once and after every `wake`), False after `timeout_s`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        while not ready():
            remaining_s = deadline - loop.time()
            if remaining_s <= 0:
                return False
            await self.wait_wake(remaining_s)
        return True

    async def wait_wake(self, timeout_s: float) -> None:
        """Return at the next `wake`, or after `timeout_s`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=timeout_s)
        finally:
            self._waiting.discard(future)

    def wake(self) -> None:
        """Let all who wait ask again."""
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
