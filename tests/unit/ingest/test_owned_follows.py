"""Coupons and orders on the process that owns the workspace: whatever dies when, each thing happens once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from core.clock import DAY_US, ManualClock
from core.coupons.pool import Pool
from core.errors import CdpError, unavailable
from core.eventlog.memory import MemoryLog
from core.eventlog.protocol import Commit, Committed, Fence, Partition
from core.events.columns import Event, Identifier
from services.ingest.accept import take_item
from services.ingest.coupons.books import CouponBooks
from services.ingest.order_shard import OrderShard
from services.ingest.writer import BatchWriter
from services.runtime.facts import columns_from_proto
from services.runtime.waiter import LoopWaiter
from tests.unit.ingest.house import DEV, NOW_US

LEASE = f"ingest:{DEV.bucket}"
ANN = Identifier("external_id", "ann")


class Frail(MemoryLog):
    """A memory log whose commits fail as `fates` say, each time one: before it is durable, or after."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock, LoopWaiter())
        self.fates: list[str] = []

    async def commit(self, partition: Partition, fence: Fence, commit: Commit) -> Committed:
        """See EventLog."""
        fate = self.fates.pop(0) if self.fates else ""
        if fate == "before":
            raise unavailable("LOG_UNAVAILABLE", "gone before it was durable")
        done = await super().commit(partition, fence, commit)
        if fate == "after":
            raise unavailable("LOG_UNAVAILABLE", "durable, and the answer is lost")
        return done


@dataclass
class Scene:
    """A workspace's log; every `open` is another process that takes the lease."""

    clock: ManualClock = field(default_factory=lambda: ManualClock(NOW_US))
    log: Frail = field(init=False)
    opened: int = 0

    def __post_init__(self) -> None:
        self.log = Frail(self.clock)

    async def open(self) -> OrderShard:
        await self.log.release(LEASE, f"owner {self.opened}")
        self.opened += 1
        fence = await self.log.acquire(LEASE, f"owner {self.opened}", 1e9)
        assert fence is not None
        books = await CouponBooks.load(self.log, self.clock, DEV, fence)
        shard = OrderShard(self.log, self.clock, DEV, fence, books)
        await shard.open()
        return shard

    async def events(self) -> list[Event]:
        """All events of the log."""
        entries = await self.log.read(DEV, 0, 10_000, 1 << 30)
        batches = [facts_pb2.AcceptedBatch.FromString(entry.payload) for entry in entries]
        return [event for batch in batches for event in columns_from_proto(batch.events).rows()]

    async def accept(self, *orders: pb.Order) -> None:
        """Orders come in by one entry."""
        writer = BatchWriter()
        for order in orders:
            assert take_item(writer, pb.BatchItem(order=order), self.clock.now_us()).refusal is None
        await self.log.append(DEV, [writer.payload()], self.clock.now_us())


def order(order_id: str, status: str, at_us: int, **texts: str) -> pb.Order:
    made = pb.Order(order_id=order_id, status=status, occurred_at_us=at_us)
    made.identifiers.add(kind="external_id", value="ann")
    for name, text in texts.items():
        made.params[name].text = text
    return made


async def follow(shard: OrderShard) -> None:
    """Everything that is there."""
    while await shard.step():
        pass


@pytest.mark.parametrize("fate", ["before", "after"])
async def test_a_coupon_is_issued_exactly_once_when_a_commit_breaks(fate: str) -> None:
    scene = Scene()
    books = (await scene.open()).coupons
    await books.save_pool(Pool("spring"), "")
    await books.add_codes("spring", ["CODE-1", "CODE-2"])
    scene.log.fates = [fate]
    with pytest.raises(CdpError):
        await books.issue("spring", ANN, "", "", "r1")
    books = (await scene.open()).coupons
    coupon, repeated = await books.issue("spring", ANN, "", "", "r1")
    assert (coupon.code, repeated) == ("CODE-1", fate == "after")
    other, _ = await books.issue("spring", Identifier("external_id", "bob"), "", "", "")
    assert other.code == "CODE-2"
    assert Counter(one.type for one in await scene.events()) == {"coupon_issued": 2}
    assert (books.pool("spring").left, books.pool("spring").low) == (0, True)


async def test_twenty_at_once_get_twenty_codes_and_a_cancelled_caller_loses_none() -> None:
    scene = Scene()
    books = (await scene.open()).coupons
    await books.save_pool(Pool("made", pattern="X-######"), "")

    async def issue(number: int) -> str:
        return (await books.issue("made", Identifier("external_id", f"p{number}"), "", "", ""))[0].code

    tasks = [asyncio.create_task(issue(number)) for number in range(20)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    codes = [await issue(number) for number in range(20)]
    assert len(set(codes)) == 20
    issued = [one for one in await scene.events() if one.type == "coupon_issued"]
    assert Counter(one.params["coupon"] for one in issued) == Counter(codes)


async def test_ends_are_recorded_once_and_survive_the_owner() -> None:
    scene = Scene()
    books = (await scene.open()).coupons
    await books.save_pool(Pool("short", pattern="S-######", valid_days=2), "")
    used, _ = await books.issue("short", ANN, "a", "", "")
    await books.save_pool(Pool("short", pattern="S-######", valid_days=2, limit=3), books.pool("short").etag)
    left, _ = await books.issue("short", ANN, "b", "", "")
    await books.redeem(used.code, [ANN], "", "")
    books = (await scene.open()).coupons
    assert not await books.expire()
    scene.clock.advance(2 * DAY_US)
    scene.log.fates = ["before"]
    with pytest.raises(CdpError):
        await books.expire()
    while await books.expire():
        pass
    books = (await scene.open()).coupons
    assert not await books.expire()
    [expired] = [one for one in await scene.events() if one.type == "coupon_expired"]
    assert (expired.params["coupon"], expired.occurred_at_us) == (left.code, left.expires_at_us)
    assert (books.pool("short").redeemed, books.pool("short").expired) == (1, 1)


@pytest.mark.parametrize("seeds", [range(6), pytest.param(range(6, 60), marks=pytest.mark.fault)], ids=["few", "many"])
async def test_orders_are_followed_exactly_once_whatever_dies(seeds: range) -> None:
    for seed in seeds:
        random = Random(seed)
        scene = Scene()
        shard = await scene.open()
        await shard.coupons.save_pool(Pool("spring", redemptions=2), "")
        await shard.coupons.add_codes("spring", ["CODE-1"])
        await shard.coupons.issue("spring", ANN, "", "", "")
        told = [
            order("o1", "completed", NOW_US, total="100", promo_code="CODE-1"),
            order("o1", "refunded", NOW_US + 10, refund_id="a", amount="30"),
            order("o1", "refunded", NOW_US + 20, refund_id="b", amount="10"),
            order("o2", "completed", NOW_US, total="50", promo_code="CODE-1"),
            order("o2", "cancelled", NOW_US + 5),
        ]
        told += random.choices(told, k=4)
        random.shuffle(told)
        while told:
            cut = random.randint(1, len(told))
            await scene.accept(*told[:cut])
            told = told[cut:]
            scene.log.fates = random.choices(["", "before", "after"], k=2)
            try:
                await follow(shard)
            except CdpError:
                shard = await scene.open()
        scene.log.fates = []
        await follow(shard)
        events = await scene.events()
        corrected = [one for one in events if one.type == "order_corrected"]
        assert len({one.id for one in corrected}) == len(corrected), f"seed {seed}"
        sums: Counter[str] = Counter()
        for one in corrected:
            sums[str(one.params["order_id"])] += one.params["total"].units  # type: ignore[union-attr]
        assert sums == {"o1": -400_000, "o2": -500_000}, f"seed {seed}"
        redeemed = [one for one in events if one.type == "coupon_redeemed"]
        assert sorted(str(one.params["order_id"]) for one in redeemed) == ["o1", "o2"], f"seed {seed}"
        assert shard.coupons.pool("spring").redeemed == 1


async def test_the_erased_are_in_no_order_and_no_coupon() -> None:
    scene = Scene()
    shard = await scene.open()
    await shard.coupons.save_pool(Pool("spring", pattern="S-######", valid_days=1), "")
    mine, _ = await shard.coupons.issue("spring", ANN, "", "", "")
    bob = Identifier("external_id", "bob")
    await shard.coupons.issue("spring", bob, "", "", "")
    await scene.accept(order("o1", "completed", NOW_US, total="100"))
    await follow(shard)
    assert await shard.forget(lambda one: one == ANN) == 2
    assert await shard.forget(lambda one: one == ANN) == 0
    for table in ("orders", "coupons", "coupons_asked"):
        async for key, stored in scene.log.scan(DEV, table):
            assert b"ann" not in key + stored, table
    before = len(await scene.events())
    await scene.accept(order("o1", "cancelled", NOW_US + 5))
    scene.clock.advance(2 * DAY_US)
    await follow(shard)
    while await shard.coupons.expire():
        pass
    told = (await scene.events())[before:]
    assert [(one.type, one.identifiers) for one in told if one.type != "order_cancelled"] == [
        ("coupon_expired", (bob,))
    ]
    assert (await shard.coupons.coupon(mine.code)).expired
