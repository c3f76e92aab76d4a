"""What ingest keeps in memory per workspace: the way into its log, and how far its readers are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from core.eventlog.protocol import Partition
from services.ingest.batcher import Batcher
from services.runtime.caller import Workspace
from services.runtime.context import Runtime
from services.runtime.feed import ConsumerPositions
from services.runtime.partitions import partition
from services.runtime.roles import Role


@dataclass(frozen=True, slots=True)
class Way:
    """One workspace's way into the log."""

    partition: Partition
    batcher: Batcher
    consumers: ConsumerPositions


class Ways:
    """The ways of all workspaces that this process has met."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ways: dict[str, Way] = {}

    def of(self, workspace: Workspace) -> Way:
        """The way of `workspace`, made at first use."""
        way = self._ways.get(workspace.id)
        if way is None:
            where = partition(Role.INGEST, workspace)
            batcher = Batcher(self._runtime.log, where, self._runtime.clock)
            way = self._ways[workspace.id] = Way(where, batcher, ConsumerPositions())
        return way

    async def drain(self) -> None:
        """Return once everything taken was appended or refused by the log."""
        await asyncio.gather(*(way.batcher.drain() for way in self._ways.values()))
