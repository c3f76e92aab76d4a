"""Many small changes, few commits: while one commit is under way, those that come wait together for the next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.clock import Clock
from core.eventlog.protocol import Commit, EventLog, Fence, Partition, TableWrite

#: Changes of one commit; the log's server works on one at a time.
_MOST_CHANGES = 512
_MOST_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class _Change:
    writes: Sequence[TableWrite]
    shown: Callable[[], None]
    done: asyncio.Future[None]

    def bytes(self) -> int:
        """How much it puts, roughly."""
        return sum(len(key) + len(value) for write in self.writes for key, value in write.put.items())


class Commits:
    """The writes of one partition; those by `commit` in the order in which they were asked for."""

    def __init__(self, log: EventLog, partition: Partition, fence: Fence, clock: Clock) -> None:
        self._log = log
        self._partition = partition
        self._fence = fence
        self._clock = clock
        self._waiting: list[_Change] = []
        self._writer: asyncio.Task[None] | None = None

    async def commit(self, writes: Sequence[TableWrite], shown: Callable[[], None]) -> None:
        """Return once `writes` are durable. `shown` brings them into memory right then, in the order of the commits and
        even when the caller has gone. Raises the log's error; then nothing is shown. No write may drop a table."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Change(writes, shown, done))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write())
        await asyncio.shield(done)

    async def alone(self, writes: Sequence[TableWrite]) -> None:
        """Commit at once, beside what is under way: for rows that no waiting change touches."""
        await self._log.commit(self._partition, self._fence, Commit(None, None, (), writes, self._clock.now_us()))

    async def _write(self) -> None:
        try:
            # Whoever is ready to go on in this moment comes along.
            await asyncio.sleep(0)
            while self._waiting:
                changes = self._next()
                try:
                    merged = _merged(changes)
                    commit = Commit(None, None, (), merged, self._clock.now_us())
                    await self._log.commit(self._partition, self._fence, commit)
                except BaseException as error:
                    for change in changes:
                        _fail(change.done, error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    for change in changes:
                        _show(change)
        finally:
            self._writer = None
            for change in self._waiting:
                _fail(change.done, asyncio.CancelledError())
            self._waiting.clear()

    def _next(self) -> list[_Change]:
        count, size = 0, 0
        for change in self._waiting[:_MOST_CHANGES]:
            size += change.bytes()
            if count and size > _MOST_BYTES:
                break
            count += 1
        changes = self._waiting[:count]
        del self._waiting[:count]
        return changes


def _show(change: _Change) -> None:
    try:
        change.shown()
    except Exception as error:  # noqa: BLE001 - it is for the one who asked; the others' changes are shown all the same
        _fail(change.done, error)
        return
    if not change.done.done():
        change.done.set_result(None)


def _fail(done: asyncio.Future[None], error: BaseException) -> None:
    if done.done():
        return
    if isinstance(error, Exception):
        done.set_exception(error)
        done.exception()  # seen: perhaps nobody waits any more
    else:
        done.cancel()


def _merged(changes: Sequence[_Change]) -> list[TableWrite]:
    """All writes as one of each table; of a key the last word counts."""
    tables: dict[str, dict[bytes, bytes | None]] = {}
    for change in changes:
        for write in change.writes:
            told = tables.setdefault(write.table, {})
            told.update(dict.fromkeys(write.delete))
            told.update(write.put)
    return [
        TableWrite(
            table,
            {key: value for key, value in told.items() if value is not None},
            [key for key, value in told.items() if value is None],
        )
        for table, told in tables.items()
    ]
