"""One place through which a shard's state becomes durable."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from core.clock import Clock
from core.errors import conflict, unavailable
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite
from services.runtime.failpoints import failpoint


class Store(Protocol):
    """State in memory that knows what of it is not durable yet."""

    def drain(self) -> tuple[TableWrite, ...]:
        """What changed since the last call, as writes to commit."""
        ...


class Journal:
    """Commits the changes of `stores` together. Hold `changing` from the reading of a run to the commit of what follows
    from it.

    A commit that fails leaves memory ahead of the log: the error must end the shard, which is opened again. Until then
    nothing more is committed (UNAVAILABLE / NOT_READY), because what it was to write is not known any more.
    """

    def __init__(self, log: EventLog, partition: Partition, fence: Fence, clock: Clock, *stores: Store) -> None:
        self.changing = asyncio.Lock()
        self.log = log
        self.partition = partition
        self._fence = fence
        self._clock = clock
        self._stores = stores
        self._failed = False

    def now_us(self) -> int:
        """The platform's instant."""
        return self._clock.now_us()

    async def commit_runs(self) -> None:
        """Make what changed durable; nothing is written when nothing did."""
        await self.commit(())

    async def commit(self, more: Sequence[TableWrite]) -> None:
        """Make what changed and `more` durable together; nothing is written when there is nothing."""
        writes = (*self._drain(), *more)
        if writes:
            await self._write(None, None, writes)

    async def commit_position(self, source: str, position: int, more: Sequence[TableWrite] = ()) -> None:
        """Make the position of `source`, what changed and `more` durable together."""
        await self._write(source, position, (*self._drain(), *more))

    def _drain(self) -> tuple[TableWrite, ...]:
        return tuple(write for store in self._stores for write in store.drain())

    async def _write(self, source: str | None, position: int | None, writes: Sequence[TableWrite]) -> None:
        if self._failed:
            raise unavailable("NOT_READY", "the scenarios of this workspace are being opened again")
        failpoint("scenario.before_commit")
        commit = Commit(source, position, (), writes, self._clock.now_us())
        self._failed = True
        done = await self.log.commit(self.partition, self._fence, commit)
        if not done.applied:
            raise conflict("ALREADY_FOLDED", f"position {position} of {source} was folded by another owner")
        self._failed = False
