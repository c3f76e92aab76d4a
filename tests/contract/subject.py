"""A log under contract, as the tests of the contract see it."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from core.eventlog.protocol import EventLog, Fence, Partition
from core.eventlog.rules import lease_name

_NUMBERS = itertools.count(1)


@dataclass(slots=True)
class Subject:
    """A log under contract. `again` is a second client of the same data (the same object for memory)."""

    log: EventLog
    again: EventLog
    let_end: Callable[[str], Awaitable[None]]  # waits until nobody holds the lease
    ttl_s: float  # a short time to live in the log's own time
    real: bool

    def partition(self, service: str = "ingest", bucket: int | None = None) -> Partition:
        """One that no other test uses."""
        number = next(_NUMBERS)
        return Partition(service, f"ws{number}:{{x}}", number % 256 if bucket is None else bucket)

    async def fence(self, partition: Partition) -> Fence:
        """A held lease of the partition's bucket that no other test uses."""
        lease = lease_name(f"test-{next(_NUMBERS)}", partition.bucket)
        fence = await self.log.acquire(lease, "first#1", 600.0)
        assert fence is not None
        return fence
