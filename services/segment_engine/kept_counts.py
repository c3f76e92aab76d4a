"""The counts behind recommendations of one workspace: made aside, kept, and made anew when facts changed.

They are made when somebody asks, and not again before PAUSE times as long as they took has passed, so that they take a
twentieth of one processor at the most. Meanwhile answers are made of those there are. Who asks when these have been out
of date for LATEST_S (or two pauses, where that is longer) waits for new ones; so whatever an answer lacks came since.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

from core.query.execute_context import Context
from core.recommend.counts import Counts, Sources, counted
from services.runtime.telemetry import get_logger

_LOG = get_logger(__name__)
PAUSE, LATEST_S = 20, 60.0


@dataclass(frozen=True, slots=True)
class _Made:
    counts: Counts
    sources: Sources
    began_s: float
    took_s: float


class KeptCounts:
    """Those of one shard. `seconds` is a clock that never goes back."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._made: _Made | None = None
        self._making: asyncio.Task[_Made] | None = None

    async def of(self, everyone: Context) -> Counts:
        """The counts for an answer as of this context, which is one of all contacts. Raises what counting raises."""
        made, now_s = self._made, self._seconds()
        if made is not None:
            if made.sources.same_as(Sources.of(everyone.root)):
                return made.counts
            pause_s = PAUSE * made.took_s
            age_s = now_s - made.began_s
            if age_s < pause_s:
                return made.counts
            making = self._start(everyone)
            if age_s < max(LATEST_S, 2 * pause_s):
                return made.counts
        else:
            making = self._start(everyone)
        # Others may wait for it as well: who goes away leaves it going.
        return (await asyncio.shield(making)).counts

    def _start(self, everyone: Context) -> asyncio.Task[_Made]:
        if self._making is None:
            self._making = asyncio.create_task(self._make(everyone))
            self._making.add_done_callback(self._ended)
        return self._making

    async def _make(self, everyone: Context) -> _Made:
        began_s = self._seconds()
        counts = await asyncio.get_running_loop().run_in_executor(_thread(), partial(counted, everyone))
        self._made = _Made(counts, Sources.of(everyone.root), began_s, self._seconds() - began_s)
        return self._made

    def _ended(self, making: asyncio.Task[_Made]) -> None:
        self._making = None
        if not making.cancelled() and making.exception() is not None:
            _LOG.error("products not counted", exc_info=making.exception())


@cache
def _thread() -> ThreadPoolExecutor:
    """One for the process: counting for one workspace at a time leaves processors to questions."""
    return ThreadPoolExecutor(1, "counts")
