"""Tiny peers that take what runs tell of contacts: ingest, whose facts the profile log shows at once, and coupons."""

from __future__ import annotations

from typing import Any

from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from core.clock import ManualClock
from core.errors import CdpError, Code, unavailable
from core.eventlog.protocol import EventLog, Partition
from core.events.columns import EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ListChange
from services.runtime.errors import abort
from services.runtime.facts import fact_batch_to_proto, value_from_proto

#: Beyond what worlds count by themselves.
_FIRST_UPSTREAM = 10_000


class IngestPeer(ingest_pb2_grpc.IngestServiceServicer):
    """Takes persons, and appends what they say to the profile log, as unification does. `calls` has every person of
    every call, `taken` each once by its id. Contacts are "key-<number>"."""

    def __init__(self, log: EventLog, profiles: Partition, clock: ManualClock) -> None:
        self.calls: list[ingest_pb2.Person] = []
        self.taken: dict[str, ingest_pb2.Person] = {}
        self.away = False
        self.refusal = ""
        self._log = log
        self._profiles = profiles
        self._clock = clock

    async def IngestBatch(self, request: ingest_pb2.IngestBatchRequest, context: Any) -> ingest_pb2.IngestBatchResponse:
        people = [item.person for item in request.items]
        self.calls += people
        if self.away:
            await abort(context, unavailable("NOT_READY", "ingest is away"))
        results = [ingest_pb2.ItemResult(message_id=one.message_id, reason=self.refusal) for one in people]
        if self.refusal:
            return ingest_pb2.IngestBatchResponse(results=results)
        facts = [fact for one in people if one.message_id not in self.taken for fact in _facts(one)]
        self.taken.update((one.message_id, one) for one in people)
        upstream = _FIRST_UPSTREAM + len(self.calls)
        batch = fact_batch_to_proto(EventColumnsBuilder().build(), tuple(facts), upstream, None)
        await self._log.append(self._profiles, [batch.SerializeToString()], self._clock.now_us())
        return ingest_pb2.IngestBatchResponse(results=results, position=upstream)


class CouponPeer(coupon_pb2_grpc.CouponServiceServicer):
    """Issues codes "<pool>-1" and so on, one for each request. `left` is how many there are."""

    def __init__(self) -> None:
        self.calls: list[coupon_pb2.IssueCouponRequest] = []
        self.issued: dict[str, str] = {}
        self.left = 100

    async def IssueCoupon(self, request: coupon_pb2.IssueCouponRequest, context: Any) -> coupon_pb2.IssueCouponResponse:
        self.calls.append(request)
        repeated = request.request_id in self.issued
        if not repeated:
            if len(self.issued) >= self.left:
                await abort(context, CdpError(Code.EXHAUSTED, "POOL_EMPTY", "no code is left"))
            self.issued[request.request_id] = f"{request.pool}-{len(self.issued) + 1}"
        coupon = coupon_pb2.Coupon(code=self.issued[request.request_id], pool=request.pool)
        return coupon_pb2.IssueCouponResponse(coupon=coupon, repeated=repeated)


def _facts(person: ingest_pb2.Person) -> list[ContactFact]:
    (identifier,) = person.identifiers
    contact, at_us = int(identifier.value.removeprefix("key-")), person.occurred_at_us
    written: list[ContactFact] = [
        AttributeWrite(contact, name, _value(value), at_us, False, 0) for name, value in person.attributes.items()
    ]
    return [*written, *(ListChange(contact, move.list, move.member, at_us, False, 0) for move in person.lists)]


def _value(value: facts_pb2.Value) -> Any:
    return value_from_proto(value)
