"""What follows from accepted orders and forms: the history of an order's statuses, corrections of what it is worth, the
coupon that it redeems, and the coupon that was the motive to fill in a form.

It reads ingest's log behind the door, on the process that owns the workspace, and writes what follows to the same log:
state, facts and the position in one step, so every status has its effect exactly once, whenever the process dies.
Corrections carry the identifiers of the completed order, so they belong to whoever the order belongs to, merged or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from cdp.facts.v1 import facts_pb2
from core.clock import Clock
from core.coupons.coupon import Coupon, redeemed, redeemed_event
from core.coupons.pool import Pool
from core.errors import CdpError, Code, conflict
from core.eventlog.protocol import Commit, Entry, EventLog, Fence, Partition, TableWrite
from core.events.columns import Event, Identifier
from core.events.forms import FORM_SUBMITTED
from core.events.validate import ORDER_ID_PREFIX
from core.orders.codec import OrderRecord, decode_order, encode_order
from core.orders.follow import followed, order_of
from services.ingest.coupons.books import CouponBooks, counted_redemption, coupon_writes, entries_of, pool_writes
from services.ingest.identity_door import one_form
from services.runtime.facts import columns_from_proto
from services.runtime.failpoints import failpoint
from services.runtime.patience import commit_patiently
from services.runtime.telemetry import FOLDED_POSITION, get_logger

_LOG = get_logger(__name__)

SOURCE = "orders"
#: Order id -> core.orders.codec.OrderRecord.
TABLE = "orders"
_READ_ENTRIES = 64
_READ_BYTES = 4 << 20
_IDLE_S = 1.0
#: Without an order for so many entries the position alone is kept.
_KEEP_EVERY = 1_000
#: What the bytes of an entry hold if there is anything to do.
_MARKS = (ORDER_ID_PREFIX.encode(), b"coupon_pool")


@dataclass(slots=True)
class _Step:
    """What one commit will write."""

    orders: dict[str, OrderRecord] = field(default_factory=dict)
    coupons: dict[str, Coupon] = field(default_factory=dict)
    pools: dict[str, Pool] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class OrderShard:
    """See `services.runtime.ownership.Shard`."""

    def __init__(self, log: EventLog, clock: Clock, partition: Partition, fence: Fence, coupons: CouponBooks) -> None:
        self._log = log
        self._clock = clock
        self._partition = partition
        self._fence = fence
        self.coupons = coupons
        #: Followed in memory, and as far as is committed: entries beyond the latter must be kept.
        self.position = 0
        self.committed = 0
        self._caught_up = False

    async def open(self) -> None:
        """Find where it stands; what was trimmed before it was ever opened is not followed."""
        first, _ = await self._log.bounds(self._partition)
        stored = await self._log.source_position(self._partition, SOURCE)
        self.position = self.committed = max(stored, first - 1)

    async def run(self) -> None:
        """Follow until cancelled, and record ends of coupons as they pass."""
        while True:
            while await self.coupons.expire():
                pass
            if not await self.step():
                self._caught_up = True
                await self._log.wait(self._partition, self.position, _IDLE_S)

    async def step(self) -> bool:
        """Follow some entries; False when there were none."""
        entries = await self._log.read(self._partition, self.position, _READ_ENTRIES, _READ_BYTES)
        if not entries:
            return False
        # Most entries hold neither an order nor a form, and are not even unpacked.
        found = [
            event for entry in entries if any(one in entry.payload for one in _MARKS) for event in _readable_in(entry)
        ]
        last = entries[-1].position
        for form in found:
            if form.type == FORM_SUBMITTED:
                await self._reward(form)
        told = [(order_id, event) for event in found if (order_id := order_of(event)) is not None]
        if told:
            async with self.coupons.changing:
                await self._keep(await self._following(told), last)
        elif last - self.committed >= _KEEP_EVERY:
            await self._commit(_Step(), last)
        self.position = last
        return True

    async def keep_position(self) -> None:
        """Make durable how far the log is followed, which is done now and then only; it holds back trimming."""
        async with self.coupons.changing:
            if self.position > self.committed:
                await self._commit(_Step(), self.position)

    async def forget(self, is_theirs: Callable[[Identifier], bool]) -> int:
        """Erase whose orders and coupons these are; what they were worth stays, for the shop's own figures. Returns how
        many rows changed. Done again, it changes nothing."""
        async with self.coupons.changing:
            orders: dict[bytes, bytes] = {}
            async for name, stored in self._log.scan(self._partition, TABLE):
                record = decode_order(stored)
                if any(is_theirs(one) for one in record.identifiers):
                    orders[name] = encode_order(replace(record, identifiers=()))
            writes = [TableWrite(TABLE, orders)] if orders else []
            coupons = await self.coupons.without(is_theirs)
            count = len(orders) + sum(len(write.put) for write in coupons)
            if count:
                commit = Commit(None, None, (), [*writes, *coupons], self._clock.now_us())
                await self._log.commit(self._partition, self._fence, commit)
            return count

    def ready(self) -> bool:
        """It has read what was there."""
        return self._caught_up

    async def close(self) -> None:
        """Nothing is kept beyond `run`."""

    async def _following(self, told: list[tuple[str, Event]]) -> _Step:
        step, now_us = _Step(), self._clock.now_us()
        names = list(dict.fromkeys(order_id for order_id, _ in told))
        stored = await self._log.get(self._partition, TABLE, [name.encode() for name in names])
        records = {name: decode_order(raw) for name, raw in zip(names, stored, strict=True)}
        codes = {str(event.params["promo_code"]).strip() for _, event in told if _redeems(event)} - {""}
        coupons = await self.coupons.coupons(sorted(codes)) if codes else {}
        for order_id, event in told:
            after, corrections = followed(records[order_id], event, now_us)
            if after is records[order_id]:
                continue
            records[order_id] = step.orders[order_id] = after
            step.events += corrections
            if _redeems(event):
                self._redeem(step, coupons, order_id, event, now_us)
        return step

    def _redeem(self, step: _Step, coupons: dict[str, Coupon | None], order_id: str, event: Event, now_us: int) -> None:
        """The order used a code. One that is no coupon, void or used up by then is the shop's own affair."""
        code = str(event.params["promo_code"]).strip()
        coupon = coupons.get(code)
        if coupon is None or coupon.redeemed_by(order_id, ""):
            return
        pool = step.pools.get(coupon.pool) or self.coupons.pool(coupon.pool)
        try:
            after = redeemed(coupon, pool, event.occurred_at_us, order_id, "")
        except CdpError as error:
            if error.code is not Code.CONFLICT:
                raise
            return
        coupons[code] = step.coupons[code] = after
        step.pools[pool.name] = counted_redemption(pool, after)
        step.events.append(redeemed_event(after, pool, now_us, tuple(one_form(one) for one in event.identifiers)))

    async def _reward(self, form: Event) -> None:
        """Issue the coupon of a form, once for each person and form: asked again after a restart, it is the same one.
        Browsers say which pool, so it must be one that is meant for forms."""
        pool, occasion = str(form.params["coupon_pool"]), f"form:{form.params.get('form', '')}"[:200]
        try:
            if not self.coupons.pool(pool).for_forms:
                raise conflict("POOL_NOT_FOR_FORMS", f"pool {pool!r} is not meant for forms")
            await self.coupons.issue(pool, one_form(form.identifiers[0]), occasion, "", "")
        except CdpError as error:
            if error.code not in (Code.NOT_FOUND, Code.EXHAUSTED, Code.CONFLICT) or error.reason == "FENCED":
                raise
            _LOG.warning(
                "no coupon for a form", workspace=self._partition.workspace, pool=pool[:64], reason=error.reason
            )

    async def _keep(self, step: _Step, last: int) -> None:
        task = asyncio.create_task(self._commit(step, last))
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            raise

    async def _commit(self, step: _Step, last: int) -> None:
        rows = {name.encode(): encode_order(record) for name, record in step.orders.items()}
        writes = [TableWrite(TABLE, rows)] if rows else []
        writes += [*coupon_writes(step.coupons), *pool_writes(list(step.pools.values()))]
        failpoint("orders.before_commit")
        commit = Commit(SOURCE, last, entries_of(step.events), writes, self._clock.now_us())
        await commit_patiently(self._log, self._partition, self._fence, commit)
        failpoint("orders.after_commit")
        self.coupons.kept(list(step.pools.values()))
        self.committed = last
        FOLDED_POSITION.labels(SOURCE, self._partition.workspace).set(last)


def _readable_in(entry: Entry) -> list[Event]:
    """Its events; none of an entry that cannot be read. Unification sets those aside, and nothing follows from them."""
    try:
        return _events_in(entry)
    except Exception as error:  # noqa: BLE001 - whatever its bytes raise must not stop the orders behind it
        _LOG.warning("no order is read from an entry", position=entry.position, error=type(error).__name__)
        return []


def _events_in(entry: Entry) -> list[Event]:
    """The events of an entry that are orders, or forms with a coupon, in its order."""
    events = columns_from_proto(facts_pb2.AcceptedBatch.FromString(entry.payload).events)
    forms = {code for code, text in enumerate(events.strings) if text == FORM_SUBMITTED}
    types = events.types.tolist() if forms else []
    rows = [
        row for row, one in enumerate(events.ids) if one.startswith(ORDER_ID_PREFIX) or (forms and types[row] in forms)
    ]
    if not rows:
        return []
    found = events.take(np.array(rows, np.intp)).rows()
    return [one for one in found if one.type != FORM_SUBMITTED or _is_rewarded(one)]


def _is_rewarded(form: Event) -> bool:
    return isinstance(form.params.get("coupon_pool"), str) and bool(form.identifiers)


def _redeems(event: Event) -> bool:
    return event.type == "order_completed" and isinstance(event.params.get("promo_code"), str)
