"""A longest time for calls, kept by one timer for all of them: a timer for each would cost more than a short call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from core.errors import unavailable

T = TypeVar("T")

#: Calls are looked at this many times within the longest time.
_LOOKS = 20


class Deadlines:
    """Ends what takes longer than `longest_s` (by a twentieth more at the most)."""

    def __init__(self, longest_s: float) -> None:
        self.longest_s = longest_s
        self._since_s: dict[asyncio.Task[Any], float] = {}
        self._late: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, work: Awaitable[T]) -> T:
        """The result of `work`, which the current task awaits. Raises UNAVAILABLE / CALL_TOO_LONG when it was late,
        after cancelling it."""
        task = asyncio.current_task()
        assert task is not None, "a coroutine runs in a task"
        loop = task.get_loop()
        self._since_s[task] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self.longest_s / _LOOKS, self._look, loop)
        try:
            return await work
        except asyncio.CancelledError as error:
            if task not in self._late:
                raise
            task.uncancel()
            raise unavailable("CALL_TOO_LONG", f"no answer within {self.longest_s:g} s") from error
        finally:
            del self._since_s[task]
            self._late.discard(task)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        begun_before_s = loop.time() - self.longest_s
        for task, since_s in self._since_s.items():
            if since_s <= begun_before_s and task not in self._late:
                self._late.add(task)
                task.cancel()
        if self._since_s:
            self._timer = loop.call_later(self.longest_s / _LOOKS, self._look, loop)
