"""What callers decide: made durable and taken over as one, whoever hangs up, and never on a state that may be wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from core.errors import unavailable
from core.eventlog.protocol import TableWrite
from services.scenario.journal import Journal

T = TypeVar("T")


def _nothing() -> None:
    """Nothing follows."""


@dataclass(frozen=True, slots=True)
class Decided(Generic[T]):
    """What is answered once `writes`, and what changed in the journal's stores, are durable; `then` is called first."""

    answer: T
    writes: tuple[TableWrite, ...] = ()
    then: Callable[[], None] = _nothing


class Decisions:
    """Makes decisions one at a time, under the journal's lock."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._making: set[asyncio.Task[Any]] = set()
        self._undecided: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def make(self, decide: Callable[[], Decided[T]]) -> T:
        """Decide, commit, take over. `decide` raises before it has changed anything, or changes and returns. A caller
        who hangs up stops none of it; once a commit failed, everything is refused until the shard is opened again."""
        task = asyncio.create_task(self._commit(decide))
        self._making.add(task)
        task.add_done_callback(self._making.discard)
        return await asyncio.shield(task)

    async def failed(self) -> None:
        """Wait, and raise when a commit failed: the shard ends, and is opened again on what is stored."""
        await self._undecided

    async def close(self) -> None:
        """Let what is being made become durable."""
        await asyncio.gather(*self._making, return_exceptions=True)

    async def _commit(self, decide: Callable[[], Decided[T]]) -> T:
        async with self._journal.changing:
            if self._undecided.done():
                raise unavailable("NOT_READY", "the scenarios of this workspace are being opened again")
            decided = decide()
            try:
                await self._journal.commit(decided.writes)
            except Exception as error:
                # It may be durable all the same: nothing may be decided on what memory has now.
                if not self._undecided.done():
                    self._undecided.set_exception(error)
                raise
            decided.then()
            return decided.answer
