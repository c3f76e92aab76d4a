"""IngestService: check, write to the entry in the making, answer once it is durable."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from cdp.ingest.v1 import ingest_pb2_grpc
from core.errors import invalid
from core.eventlog.protocol import Entry
from core.events.columns import Identifier
from services.ingest.accept import (
    Outcome,
    take_event,
    take_item,
    take_link,
    take_order,
    take_person,
    take_product,
)
from services.ingest.archive_forget import Forgetting, is_wanted
from services.ingest.commands import command
from services.ingest.convert import violations_to_proto
from services.ingest.entrance import admit, admit_to
from services.ingest.identity_door import PLATFORM_RULES
from services.ingest.owned import Owned
from services.ingest.ways import Way, Ways
from services.ingest.writer import BatchWriter
from services.runtime.caller import Scope, caller
from services.runtime.context import Runtime
from services.runtime.feed import serve_feed
from services.runtime.service import GrpcService

Context = grpc.aio.ServicerContext[Any, Any]

EMPTY_BATCH = "EMPTY_BATCH"
BATCH_TOO_LARGE = "BATCH_TOO_LARGE"
MAX_BATCH_ITEMS = 1_000

#: A batch of more items gets an entry of its own instead of sharing the open one.
_SHARED_ITEMS = 32
#: The loop gets its turn after so long.
_TURN_S = 0.002

_SCOPES = {
    "Track": Scope.WRITE,
    "Identify": Scope.WRITE,
    "Alias": Scope.WRITE,
    "RecordOrder": Scope.WRITE,
    "UpsertProducts": Scope.WRITE,
    "IngestBatch": Scope.WRITE,
    "Command": Scope.INTERNAL,
    "Forget": Scope.INTERNAL,
    "Subscribe": Scope.READ,
}

Item = TypeVar("Item", pb.BatchItem, facts_pb2.Product)


class IngestRpc(ingest_pb2_grpc.IngestServiceServicer):
    """The door for programs."""

    def __init__(self, runtime: Runtime, ways: Ways, owned_of: Callable[[str], Owned]) -> None:
        """`owned_of` finds the share of a workspace that this process owns, or raises UNAVAILABLE / NOT_READY."""
        self._runtime = runtime
        self._owned_of = owned_of
        self._clock = runtime.clock
        self._ways = ways

    def service(self) -> GrpcService:
        """Ready to be added to a server."""
        add = partial(ingest_pb2_grpc.add_IngestServiceServicer_to_server, self)
        return GrpcService("cdp.ingest.v1.IngestService", add, _SCOPES)

    async def Track(self, request: pb.TrackRequest, context: Context) -> pb.TrackResponse:
        """One event."""
        event = request.event
        done, position = await self._one(event.ByteSize(), lambda writer, now: take_event(writer, event, now))
        return pb.TrackResponse(message_id=done.message_id, position=position)

    async def Identify(self, request: pb.IdentifyRequest, context: Context) -> pb.IdentifyResponse:
        """Traits of one person."""
        person = request.person
        done, position = await self._one(person.ByteSize(), lambda writer, now: take_person(writer, person, now))
        return pb.IdentifyResponse(message_id=done.message_id, position=position)

    async def Alias(self, request: pb.AliasRequest, context: Context) -> pb.AliasResponse:
        """Two identifiers of one person."""
        link = request.link
        done, position = await self._one(link.ByteSize(), lambda writer, now: take_link(writer, link, now))
        return pb.AliasResponse(message_id=done.message_id, position=position)

    async def RecordOrder(self, request: pb.RecordOrderRequest, context: Context) -> pb.RecordOrderResponse:
        """One status of an order."""
        order = request.order
        done, position = await self._one(order.ByteSize(), lambda writer, now: take_order(writer, order, now))
        return pb.RecordOrderResponse(message_id=done.message_id, position=position)

    async def UpsertProducts(self, request: pb.UpsertProductsRequest, context: Context) -> pb.UpsertProductsResponse:
        """Products of the catalogue, each accepted or refused on its own."""
        results, position = await self._many(request.products, "products", take_product)
        return pb.UpsertProductsResponse(results=results, position=position)

    async def IngestBatch(self, request: pb.IngestBatchRequest, context: Context) -> pb.IngestBatchResponse:
        """Items of all kinds, each accepted or refused on its own."""
        results, position = await self._many(request.items, "items", take_item)
        return pb.IngestBatchResponse(results=results, position=position)

    async def Command(self, request: pb.CommandRequest, context: Context) -> pb.CommandResponse:
        """An order of another service."""
        way = self._ways.of(caller().workspace)
        return pb.CommandResponse(position=await command(way, request, self._clock.now_us()))

    async def Forget(self, request: pb.ForgetRequest, context: Context) -> pb.ForgetResponse:
        """Take people out of what was accepted. By the process that archives the workspace."""
        names = frozenset(Identifier(one.kind, one.value) for one in request.identifiers)
        events: dict[int, set[str]] = {}
        for entry in request.events:
            events.setdefault(entry.position, set()).update(entry.ids)
        frozen = {position: frozenset(ids) for position, ids in events.items()}
        workspace = caller().workspace
        door = self._ways.of(workspace).names
        wanted = Forgetting(names, frozen, PLATFORM_RULES if door is None else door.rules)
        owned = self._owned_of(workspace.id)
        others = await owned.orders.forget(partial(is_wanted, wanted))
        await owned.orders.keep_position()
        done = await owned.archive.forget(wanted, request.through_position)
        if done is None:
            return pb.ForgetResponse()
        return pb.ForgetResponse(
            done=True,
            files=done.files,
            events=done.events,
            facts=done.facts,
            first_position=done.first_position,
            coupons_and_orders=others,
        )

    async def Subscribe(
        self, request_iterator: AsyncIterator[pb.SubscribeRequest], context: Context
    ) -> AsyncIterator[pb.SubscribeResponse]:
        """Accepted batches from a position on. Only services hold back trimming by their names."""
        who = caller()
        requests = request_iterator if who.internal else _unnamed(request_iterator)
        way = self._ways.of(who.workspace)
        feed = serve_feed(self._runtime.log, way.partition, requests, _response, way.consumers)
        async for response in feed:
            yield response

    async def _one(self, size_bytes: int, take: Callable[[BatchWriter, int], Outcome]) -> tuple[Outcome, int]:
        way = await self._ways.admit(caller(), 1)
        outcome, entry = await admit(way, size_bytes, lambda writer: take(writer, self._clock.now_us()))
        if entry is None:
            raise outcome.error()
        return outcome, await asyncio.shield(entry)

    async def _many(
        self, items: Sequence[Item], path: str, take: Callable[[BatchWriter, Item, int], Outcome]
    ) -> tuple[list[pb.ItemResult], int]:
        if not items:
            raise invalid(EMPTY_BATCH, f"{path}: give at least one item")
        if len(items) > MAX_BATCH_ITEMS:
            raise invalid(BATCH_TOO_LARGE, f"{path}: at most {MAX_BATCH_ITEMS} at once, here are {len(items)}")
        way = await self._ways.admit(caller(), len(items))
        if len(items) <= _SHARED_ITEMS:
            return await self._shared(way, items, take)
        writer, results, turn_until_s = BatchWriter(), [], time.perf_counter() + _TURN_S
        writer.reserved = way.reserved
        if way.names is not None:
            way.names.follow()
            writer.usable = way.names.usable
        for item in items:
            writer.rates = None if way.rates is None else way.rates.fresh() or await way.rates.read()
            results.append(_result(await admit_to(writer, way.schema, partial(self._taken, take, item))))
            if time.perf_counter() > turn_until_s:
                await asyncio.sleep(0)
                turn_until_s = time.perf_counter() + _TURN_S
        writer.size_bytes = sum(item.ByteSize() for item in items)
        if not len(writer):
            return results, 0
        writer.count(way.key_id, len(writer))
        return results, await way.batcher.append(writer)

    def _taken(self, take: Callable[[BatchWriter, Item, int], Outcome], item: Item, writer: BatchWriter) -> Outcome:
        return take(writer, item, self._clock.now_us())

    async def _shared(
        self, way: Way, items: Sequence[Item], take: Callable[[BatchWriter, Item, int], Outcome]
    ) -> tuple[list[pb.ItemResult], int]:
        results: list[pb.ItemResult] = []
        entries: dict[asyncio.Future[int], None] = {}
        for item in items:
            size_bytes = item.ByteSize()
            outcome, entry = await admit(way, size_bytes, partial(self._taken, take, item))
            if entry is not None:
                entries[entry] = None
            results.append(_result(outcome))
        positions = [await asyncio.shield(entry) for entry in entries]
        return results, max(positions, default=0)


def _result(outcome: Outcome) -> pb.ItemResult:
    refusal = outcome.refusal
    if refusal is None:
        if not outcome.notes:
            return pb.ItemResult(message_id=outcome.message_id)
        return pb.ItemResult(message_id=outcome.message_id, violations=violations_to_proto(outcome.notes))
    return pb.ItemResult(
        reason=refusal.reason,
        description=refusal.description,
        violations=violations_to_proto(refusal.violations),
    )


def _response(entry: Entry, epoch: str, last: int) -> pb.SubscribeResponse:
    response = pb.SubscribeResponse(
        position=entry.position, recorded_at_us=entry.recorded_at_us, epoch=epoch, last_position=last
    )
    try:
        response.batch.ParseFromString(entry.payload)
    except DecodeError:
        # What lies in the log cannot be refused any more: the reader sets it aside, and goes on behind it.
        response.ClearField("batch")
        response.unreadable = entry.payload
    return response


async def _unnamed(requests: AsyncIterator[pb.SubscribeRequest]) -> AsyncIterator[pb.SubscribeRequest]:
    """A reader from outside may not pass for a service: its acknowledgements would let unread entries be trimmed."""
    async for request in requests:
        if request.WhichOneof("action") == "start":
            request.start.consumer = ""
        yield request
