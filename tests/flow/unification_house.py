"""Unification in a real host, beside a peer that plays ingest: one workspace, and a log that the test writes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from core.clock import ManualClock
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Entry, EventLog, Partition
from core.events.columns import Identifier
from core.profile.accepted import AcceptedFact, ProductUpdate, ProfileUpdate, RulesOrder, Separation
from services.profile_unification.app import build
from services.runtime.caller import Scope
from services.runtime.context import Runtime
from services.runtime.facts import columns_to_proto, object_to_proto, value_to_proto
from services.runtime.feed import ConsumerPositions, serve_feed
from services.runtime.host import Host
from services.runtime.roles import Role
from services.runtime.service import GrpcService
from services.runtime.settings import Settings
from services.runtime.waiter import LoopWaiter
from tests.passive_service import PassiveService
from tests.unit.profile.people import Item, T, batch_of

WORKSPACE = "shop"
BUCKET = 17
UPSTREAM = Partition("ingest", WORKSPACE, BUCKET)
OWN = Partition("profile_unification", WORKSPACE, BUCKET)
TRACKING_KEY = "a key for links"


class Feeder(PassiveService, ingest_pb2_grpc.IngestServiceServicer, workspace_pb2_grpc.WorkspaceServiceServicer):
    """Ingest as far as unification calls it. `followed` has the position that was acknowledged last."""

    role = Role.INGEST

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self.consumers = ConsumerPositions()

    async def ListWorkspaces(
        self, request: workspace_pb2.ListWorkspacesRequest, context: Any
    ) -> workspace_pb2.ListWorkspacesResponse:
        """One workspace, that never changes."""
        if request.wait_etag:
            await asyncio.Event().wait()
        one = workspace_pb2.Workspace(id=WORKSPACE, zone="UTC", currency="EUR", bucket=BUCKET)
        return workspace_pb2.ListWorkspacesResponse(workspaces=[one], etag="1")

    async def Subscribe(
        self, request_iterator: AsyncIterator[ingest_pb2.SubscribeRequest], context: Any
    ) -> AsyncIterator[ingest_pb2.SubscribeResponse]:
        """The log that the test writes."""
        feed = serve_feed(self._log, UPSTREAM, request_iterator, _respond, self.consumers)
        async for response in feed:
            yield response

    def grpc_services(self) -> Sequence[GrpcService]:
        """The two services that unification calls."""

        def add_ingest(server: grpc.aio.Server) -> None:
            ingest_pb2_grpc.add_IngestServiceServicer_to_server(self, server)

        def add_workspaces(server: grpc.aio.Server) -> None:
            workspace_pb2_grpc.add_WorkspaceServiceServicer_to_server(self, server)

        return (
            GrpcService("cdp.ingest.v1.IngestService", add_ingest, {"Subscribe": Scope.READ}),
            GrpcService("cdp.workspace.v1.WorkspaceService", add_workspaces, {"ListWorkspaces": Scope.INTERNAL}),
        )


@dataclass
class House:
    """A running host on a log that outlives it."""

    log: EventLog
    clock: ManualClock
    host: Host

    def profiles(self) -> profile_pb2_grpc.ProfileServiceStub:
        """A client of unification."""
        return self.host.runtime.stubs.profile()

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """An internal call that speaks of the workspace."""
        return self.host.runtime.stubs.internal_metadata(WORKSPACE)

    async def accept(self, *items: Item) -> int:
        """Log one batch as ingest does; returns its position."""
        return await accept(self.log, items)

    async def folded(self, position: int) -> None:
        """Return once unification has folded `position`."""
        request = profile_pb2.BatchGetRequest(min_upstream_position=position)
        await self.profiles().BatchGet(request, metadata=self.metadata, timeout=10)

    async def profile(self, identifier: Identifier, timeline_size: int = -1) -> profile_pb2.GetResponse:
        """Get by an identifier."""
        by = facts_pb2.Identifier(kind=identifier.kind, value=identifier.value)
        request = profile_pb2.GetRequest(identifier=by, timeline_size=timeline_size)
        response: profile_pb2.GetResponse = await self.profiles().Get(request, metadata=self.metadata, timeout=10)
        return response


async def accept(log: EventLog, items: Iterable[Item]) -> int:
    """Write one batch to ingest's log."""
    return (await log.append(UPSTREAM, [payload_of(items)], T)).last


def payload_of(items: Iterable[Item]) -> bytes:
    """One entry of ingest's log."""
    batch = batch_of(0, items)
    return facts_pb2.AcceptedBatch(
        events=columns_to_proto(batch.events), facts=[_fact_to_proto(fact) for fact in batch.facts]
    ).SerializeToString()


async def facts_of(log: EventLog) -> list[tuple[int, facts_pb2.FactBatch]]:
    """Unification's whole log: (position, batch)."""
    entries = await log.read(OWN, 0, 10_000, 1 << 30)
    return [(entry.position, facts_pb2.FactBatch.FromString(entry.payload)) for entry in entries]


@asynccontextmanager
async def open_house(folder: Path, log: EventLog | None = None) -> AsyncIterator[House]:
    """Start the host on `log` (a new one in memory if none is given), wait until it is ready, stop it at the end."""
    clock = ManualClock(T)
    log = log or MemoryLog(clock, LoopWaiter())
    settings = Settings.from_environment(
        {
            "CDP_DATA_DIR": str(folder),
            "CDP_ROLES": "ingest,profile_unification",
            "CDP_GRPC_PORT": "0",
            "CDP_HTTP_PORT": "0",
            "CDP_DRAIN_S": "0",
            "CDP_LEASE_TTL_S": "1",
            "CDP_TRACKING_KEY": TRACKING_KEY,
            "CDP_SEGMENT_ADDRESS": "127.0.0.1:1",
            "CDP_SCENARIO_ADDRESS": "127.0.0.1:1",
            "CDP_CHANNEL_ADDRESS": "127.0.0.1:1",
        }
    )

    def build_feeder(runtime: Runtime) -> Feeder:
        return Feeder(runtime.log)  # type: ignore[abstract]

    host = Host(settings, clock, log, {Role.INGEST: build_feeder, Role.PROFILE_UNIFICATION: build})
    await host.start()
    try:
        await host.wait_ready(20)
        yield House(log, clock, host)
    finally:
        await host.stop()


def _respond(entry: Entry, epoch: str, last: int) -> ingest_pb2.SubscribeResponse:
    batch = facts_pb2.AcceptedBatch.FromString(entry.payload)
    return ingest_pb2.SubscribeResponse(
        position=entry.position, recorded_at_us=entry.recorded_at_us, batch=batch, epoch=epoch, last_position=last
    )


def _fact_to_proto(fact: AcceptedFact) -> facts_pb2.AcceptedFact:
    message = facts_pb2.AcceptedFact(
        id=fact.id,
        occurred_at_us=fact.occurred_at_us,
        received_at_us=fact.received_at_us,
        imported=fact.imported,
        before_event=fact.before_event,
    )
    match fact.fact:
        case ProfileUpdate() as update:
            message.profile.identifiers.extend(
                facts_pb2.Identifier(kind=one.kind, value=one.value) for one in update.identifiers
            )
            for name, value in update.attributes.items():
                message.profile.attributes[name].CopyFrom(value_to_proto(value))
            message.profile.consents.extend(
                facts_pb2.ConsentChange(channel=one.channel, state=one.state, source=one.source)
                for one in update.consents
            )
            message.profile.lists.extend(facts_pb2.ListMove(list=name, member=member) for name, member in update.lists)
        case Separation() as order:
            message.separation.survivor, message.separation.merged = order.survivor, order.merged
            message.separation.asked_by, message.separation.reason = order.asked_by, order.reason
        case RulesOrder():
            raise NotImplementedError("this house writes no orders to change rules")
        case ProductUpdate(product_id=product_id, fields=fields):
            product = facts_pb2.Product(
                product_id=product_id, fields=object_to_proto(fields).fields, deleted=not fields
            )
            message.product.CopyFrom(product)
    return message
