"""Everything that ingest does for a workspace under its lease: on one process at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from services.ingest.bulk.worker import BulkShard
from services.ingest.feeds.worker import FeedShard
from services.ingest.order_shard import OrderShard
from services.ingest.worker import ArchiveShard
from services.runtime.ownership import Shard


@dataclass(frozen=True, slots=True)
class Owned:
    """See `services.runtime.ownership.Shard`. One part that fails closes all; they are opened again together."""

    archive: ArchiveShard
    feeds: FeedShard
    bulk: BulkShard
    orders: OrderShard

    async def run(self) -> None:
        """Work until cancelled or until a part fails."""
        async with asyncio.TaskGroup() as tasks:
            for part in self._parts():
                tasks.create_task(part.run())

    async def close(self) -> None:
        """Let go of everything."""
        for part in self._parts():
            await part.close()

    def ready(self) -> bool:
        """Every part has caught up."""
        return all(part.ready() for part in self._parts())

    def _parts(self) -> tuple[Shard, ...]:
        return (self.archive, self.feeds, self.bulk, self.orders)
