"""Waking those who wait for new entries: own writes at once, those of other processes by a shared poll."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from core.eventlog.protocol import Partition
from services.runtime.redis_keys import meta_key
from services.runtime.redis_nodes import Nodes


@dataclass(slots=True)
class _Watched:
    """One partition that somebody waits on: each future, and the position beyond which it wakes."""

    futures: dict[asyncio.Future[None], int] = field(default_factory=dict)


class Arrivals:
    """One poller for all waiters of a log: each round is one pipeline of small reads per server.

    It runs only while somebody waits. The pause between rounds grows with the number of partitions, so that a
    thousand idle ones cost no more than a few.
    """

    def __init__(self, nodes: Nodes, poll_s: float) -> None:
        self._nodes = nodes
        self._poll_s = poll_s
        self._watched: dict[Partition, _Watched] = {}
        self._poller: asyncio.Task[None] | None = None

    async def wait(self, partition: Partition, after: int, timeout_s: float) -> bool:
        """True as soon as an entry beyond `after` exists, False after `timeout_s`; errors of the first look."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        watched = self._watched.setdefault(partition, _Watched())
        # Before the look, so that a write between the two is not missed.
        watched.futures[future] = after
        try:
            if await self._last(partition) > after or future.done():
                return True
            if self._poller is None:
                self._poller = loop.create_task(self._poll())
            done, _ = await asyncio.wait((future,), timeout=timeout_s)
            return bool(done)
        finally:
            del watched.futures[future]
            if not watched.futures and self._watched.get(partition) is watched:
                del self._watched[partition]

    def arrived(self, partition: Partition, last: int) -> None:
        """The stream of `partition` is known to reach `last`."""
        watched = self._watched.get(partition)
        if watched is not None:
            for future, after in watched.futures.items():
                if last > after and not future.done():
                    future.set_result(None)

    async def close(self) -> None:
        """Stop polling. Idempotent."""
        poller = self._poller
        if poller is not None:
            poller.cancel()
            await asyncio.wait((poller,))

    async def _last(self, partition: Partition) -> int:
        [reply] = await self._nodes.call(partition.bucket, ("HGET", meta_key(partition), "last"))
        return int(reply or 0)

    async def _poll(self) -> None:
        try:
            while self._watched:
                await asyncio.sleep(max(self._poll_s, 0.000_05 * len(self._watched)))
                await self._round()
        finally:
            self._poller = None

    async def _round(self) -> None:
        partitions = list(self._watched)
        lasts = await asyncio.gather(*map(self._last, partitions), return_exceptions=True)
        for partition, last in zip(partitions, lasts, strict=True):
            if isinstance(last, int):
                self.arrived(partition, last)
            elif not isinstance(last, RedisError | OSError):
                raise last
            # A server that is away wakes nobody: the waiter's time runs out and its next read tells the error.
