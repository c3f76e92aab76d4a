"""One place through which a shard's state becomes durable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from core.clock import Clock
from core.errors import conflict
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from services.runtime.failpoints import failpoint
from services.scenario.runs import Runs


class Journal:
    """Commits the changes of `runs`. Hold `changing` from the reading of a run to the commit of what follows from it.

    A commit that fails leaves memory ahead of the log: the error must end the shard, which is opened again.
    """

    def __init__(self, log: EventLog, partition: Partition, fence: Fence, clock: Clock, runs: Runs) -> None:
        self.changing = asyncio.Lock()
        self.log = log
        self.partition = partition
        self._fence = fence
        self._clock = clock
        self._runs = runs

    def now_us(self) -> int:
        """The platform's instant."""
        return self._clock.now_us()

    async def commit_runs(self) -> None:
        """Make changed runs durable; nothing is written when none changed."""
        writes = self._runs.drain()
        if writes:
            await self._write(None, None, writes)

    async def commit(self, more: Sequence[TableWrite]) -> None:
        """Make changed runs and `more` durable together."""
        await self._write(None, None, (*self._runs.drain(), *more))

    async def commit_position(self, source: str, position: int, more: Sequence[TableWrite] = ()) -> None:
        """Make the position of `source`, changed runs and `more` durable together."""
        await self._write(source, position, (*self._runs.drain(), *more))

    async def _write(self, source: str | None, position: int | None, writes: Sequence[TableWrite]) -> None:
        failpoint("scenario.before_commit")
        commit = Commit(source, position, (), writes, self._clock.now_us())
        done = await self.log.commit(self.partition, self._fence, commit)
        if not done.applied:
            raise conflict("ALREADY_FOLDED", f"position {position} of {source} was folded by another owner")
