"""The past as a dry run needs it: what would have started runs, and the events that those who started had afterwards.

It is read from the beginning of unification's log, whatever was trimmed from its archive. Contacts are those of today.
What was imported counts as if it had been told when it happened: history that was loaded is what a dry run is about.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace

import grpc
import numpy as np

from cdp.profile.v1 import profile_pb2
from cdp.segment.v1 import segment_pb2
from core.events.columns import IMPORTED, MACHINE, Event
from core.events.facts import AttributeWrite, FactBatch, ProductState
from core.query.local_time import find_zone
from core.scenario.definition import (
    EventTrigger,
    FieldTrigger,
    RfmTrigger,
    ScheduleTrigger,
    SegmentTrigger,
)
from core.scenario.plan import Plan
from core.scenario.schedule import next_due
from core.scenario.trigger import (
    MembershipChange,
    Occurrence,
    started_by_event,
    started_by_membership,
)
from core.scenario.trigger_cells import cell_moves, started_by_move
from core.scenario.trigger_fields import Write, change_of, values_of_change
from core.scenario.trigger_products import ProductStart, started_by_product
from services.runtime.context import Runtime
from services.runtime.errors import from_rpc
from services.runtime.facts import fact_batch_from_proto
from services.scenario.convert_runs import membership_from_proto
from services.scenario.people import People

_CONSUMER = "dry_run"
_IN_FLIGHT = 64
#: The membership log tells no end: after so long without a record it is reached.
_QUIET_S = 1.5


class PastReader:
    """Reads the past of one workspace for one plan, between two instants (the second exclusive)."""

    def __init__(
        self, runtime: Runtime, workspace_id: str, people: People, zone: str, plan: Plan, from_us: int, until_us: int
    ) -> None:
        self._runtime = runtime
        self._metadata = runtime.stubs.internal_metadata(workspace_id)
        self._people = people
        self._zone = zone
        self._plan = plan
        self._from_us = from_us
        self._until_us = until_us

    def owner(self, contact: int) -> int | None:
        """Who a contact is today."""
        return self._people.owner(contact)

    async def by_facts(self) -> tuple[list[Occurrence], list[ProductStart]]:
        """What events and writes start, and the products that start somebody, both in the order of their instants."""
        starts: list[Occurrence] = []
        products: list[ProductStart] = []
        writes: defaultdict[int, list[Write]] = defaultdict(list)
        trigger = self._plan.definition.trigger
        async for batch in self._entries():
            if isinstance(trigger, EventTrigger):
                for contact, event in self._events_of(batch, frozenset((trigger.type,))):
                    starts += self._started(contact, event)
                continue
            for fact in batch.facts:
                if isinstance(fact, AttributeWrite) and isinstance(trigger, FieldTrigger):
                    owner = self.owner(fact.contact)
                    if fact.name == trigger.attribute and owner is not None:
                        writes[owner].append(Write(fact.occurred_at_us, fact.value))
                elif isinstance(fact, ProductState) and self._is_within(fact.occurred_at_us):
                    start = started_by_product(self._plan, fact, fact.occurred_at_us)
                    products += [] if start is None else [start]
        if isinstance(trigger, FieldTrigger):
            starts += self._changes(trigger, writes)
        starts.sort(key=lambda one: (one.at_us, one.contact, one.id))
        products.sort(key=lambda one: (one.at_us, one.product_id))
        return starts, products

    def dues(self, trigger: ScheduleTrigger) -> list[int]:
        """The instants of a schedule."""
        zone = find_zone(trigger.zone or self._zone) or find_zone("UTC")
        assert zone is not None
        found: list[int] = []
        due_us = next_due(trigger, zone, self._from_us - 1)
        while due_us is not None and due_us < self._until_us:
            found.append(due_us)
            due_us = next_due(trigger, zone, due_us)
        return found

    async def by_memberships(self) -> list[Occurrence]:
        """What the engine's recorded changes of membership start; they begin when a segment was saved first."""
        trigger = self._plan.definition.trigger
        found: list[Occurrence] = []
        async for changes in self._records():
            live = [
                replace(one, recorded_at_us=one.effective_at_us)
                for one in changes
                if self._is_within(one.effective_at_us)
            ]
            if isinstance(trigger, SegmentTrigger):
                some = [started_by_membership(self._plan, one) for one in live]
            else:
                models = [trigger.model] if isinstance(trigger, RfmTrigger) else []
                some = [started_by_move(self._plan, move) for move in cell_moves(live, models)]
            found += [one for one in some if one is not None]
        return sorted(found, key=lambda one: (one.at_us, one.contact, one.id))

    async def events_of(self, contacts: Collection[int], types: Collection[str]) -> dict[int, list[Event]]:
        """The live events of these contacts and types from the beginning on, by contact, in the order of their
        instants. A type that ends in `*` is a prefix."""
        found: defaultdict[int, list[Event]] = defaultdict(list)
        if not types or not contacts:
            return found
        async for batch in self._entries():
            for contact, event in self._events_of(batch, types):
                owner = self.owner(contact)
                if owner is not None and owner in contacts and event.occurred_at_us >= self._from_us:
                    found[owner].append(replace(event, flags=event.flags & ~IMPORTED))
        for events in found.values():
            events.sort(key=lambda event: (event.occurred_at_us, event.id))
        return found

    def _is_within(self, at_us: int) -> bool:
        return self._from_us <= at_us < self._until_us

    def _started(self, contact: int, event: Event) -> list[Occurrence]:
        owner = self.owner(contact)
        if owner is None or not self._is_within(event.occurred_at_us):
            return []
        live = replace(event, flags=event.flags & ~IMPORTED, received_at_us=event.occurred_at_us)
        found = started_by_event(self._plan, live, owner, event.occurred_at_us, self._zone, 0)
        return [] if found is None else [found]

    def _changes(self, trigger: FieldTrigger, writes: dict[int, list[Write]]) -> list[Occurrence]:
        found: list[Occurrence] = []
        for contact, told in writes.items():
            told.sort(key=lambda write: write.at_us)
            for at_us in sorted({write.at_us for write in told if self._is_within(write.at_us)}):
                change = change_of(trigger, told, at_us, at_us + trigger.held_for_us)
                if change is not None:
                    values = values_of_change(trigger, change)
                    starts_us = at_us + trigger.held_for_us
                    found.append(Occurrence(f"dry:{contact}:{at_us}", starts_us, contact, values))
        return found

    def _events_of(self, batch: FactBatch, types: Collection[str]) -> list[tuple[int, Event]]:
        """(contact, event) of a batch, of these types, those by machines left out."""
        events = batch.events
        codes = [code for code, name in enumerate(events.strings) if _is_one_of(name, types)]
        if not codes or events.contacts is None or not len(events.types):
            return []
        rows = np.flatnonzero(np.isin(events.types, codes) & ((events.flags & MACHINE) == 0))
        contacts = events.contacts[rows].tolist()
        return list(zip(contacts, events.take(rows.astype(np.intp)).rows(), strict=True)) if len(rows) else []

    async def _entries(self) -> AsyncIterator[FactBatch]:
        """The profile log from its beginning to where it ends now."""
        call = self._runtime.stubs.profile().Subscribe(metadata=self._metadata)
        start = profile_pb2.SubscribeRequest.Start(max_in_flight=_IN_FLIGHT)
        try:
            await call.write(profile_pb2.SubscribeRequest(start=start))
            last: int | None = None
            while True:
                response = await call.read()
                if not isinstance(response, profile_pb2.SubscribeResponse):
                    return
                last = response.last_position if last is None else last
                if response.position:
                    yield fact_batch_from_proto(response.batch, response.position, response.recorded_at_us)
                    await call.write(profile_pb2.SubscribeRequest(acknowledged_position=response.position))
                if response.position >= last:
                    return
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()

    async def _records(self) -> AsyncIterator[Sequence[MembershipChange]]:
        call = self._runtime.stubs.segment().Watch(segment_pb2.WatchRequest(), metadata=self._metadata)
        try:
            while True:
                try:
                    async with asyncio.timeout(_QUIET_S):
                        response = await call.read()
                except TimeoutError:
                    return
                if not isinstance(response, segment_pb2.WatchResponse):
                    return
                yield [
                    membership_from_proto(record, response.position, index)
                    for index, record in enumerate(response.memberships)
                ]
        except grpc.aio.AioRpcError as error:
            raise from_rpc(error) from error
        finally:
            call.cancel()


def _is_one_of(name: str, types: Collection[str]) -> bool:
    return any(name.startswith(one[:-1]) if one.endswith("*") else name == one for one in types)
