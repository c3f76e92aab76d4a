"""What ingest keeps in memory per workspace: the way into its log, and how far its readers are."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from core.eventlog.protocol import Partition
from services.ingest.allowances import Allowances
from services.ingest.batcher import Batcher
from services.ingest.coupons.books import POOLS
from services.ingest.identity_door import IdentityDoor
from services.ingest.rates_store import RatesStore
from services.ingest.schema_store import SchemaStore
from services.ingest.senders import reserved_from
from services.ingest.turns import Turns
from services.ingest.usage import Usage, usage_by_day
from services.runtime.caller import Caller, Workspace
from services.runtime.context import Runtime
from services.runtime.feed import ConsumerPositions
from services.runtime.partitions import partition
from services.runtime.roles import Role


@dataclass(frozen=True, slots=True)
class Way:
    """One workspace's way into the log: through `services.ingest.entrance`, which knows the schema."""

    partition: Partition
    batcher: Batcher
    consumers: ConsumerPositions
    schema: SchemaStore
    usage: Usage
    #: The key by which items come this way; empty: they come from the platform itself.
    key_id: str = ""
    #: The workspace's rules about identifiers; None: those that hold where none are set.
    names: IdentityDoor | None = None
    #: Rates of money; None: money is taken as it is told.
    rates: RatesStore | None = None
    #: Canonical events that may not come this way.
    reserved: frozenset[str] = frozenset()


class Ways:
    """The ways of all workspaces that this process has met."""

    def __init__(self, runtime: Runtime, allowances: Allowances) -> None:
        self._runtime = runtime
        self._allowances = allowances
        self._ways: dict[str, Way] = {}
        self._turns = Turns()

    def of(self, workspace: Workspace) -> Way:
        """The way of `workspace`, made at first use."""
        way = self._ways.get(workspace.id)
        if way is None:
            where = partition(Role.INGEST, workspace)
            runtime = self._runtime
            schema = SchemaStore(runtime.log, runtime.clock, workspace.id, workspace.bucket)
            usage = Usage(runtime.log, where, runtime.clock)
            names = IdentityDoor(runtime.stubs, workspace.id)
            batcher = Batcher(runtime.log, where, runtime.clock, schema, usage)
            rates = RatesStore(runtime.log, runtime.clock, workspace.id, workspace.bucket)
            way = Way(where, batcher, ConsumerPositions(), schema, usage, names=names, rates=rates)
            self._ways[workspace.id] = way
        if way.rates is not None:
            way.rates.in_currency(workspace.currency)
        return way

    async def admit(self, caller: Caller, items: int) -> Way:
        """The way of a caller who brings `items`, counted against its limits, all of them or none. Raises EXHAUSTED /
        RATE_LIMITED or QUOTA_SPENT. Returns when it is the turn of the workspace."""
        way = self.of(caller.workspace)
        await self._allowances.admit(caller, way.usage, items)
        await self._turns.take(caller.workspace.id, items)
        return way if caller.internal else replace(way, key_id=caller.key_id, reserved=reserved_from(caller))

    async def usage_by_day(self, workspace: Workspace, days: int) -> list[tuple[str, str, int]]:
        """See `services.ingest.usage.usage_by_day`."""
        runtime = self._runtime
        return await usage_by_day(runtime.log, self.of(workspace).partition, days, runtime.clock.now_us())

    async def told_in_its_currency(self, workspace: Workspace) -> str:
        """What a workspace holds already that is told in its currency, in words; empty: nothing. UNAVAILABLE while the
        log is away."""
        way, log = self.of(workspace), self._runtime.log
        if way.rates is not None and (await way.rates.read()).version:
            return "rates of money"
        _, last = await log.bounds(way.partition)
        if last:
            return "accepted data"
        async for _ in log.scan(way.partition, POOLS):
            return "pools of coupons"
        return ""

    async def drain(self) -> None:
        """Return once everything taken was appended or refused by the log."""
        await asyncio.gather(*(way.batcher.drain() for way in self._ways.values()))
        await asyncio.gather(*(way.names.close() for way in self._ways.values() if way.names is not None))
