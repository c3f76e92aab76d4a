"""Ingest killed while it issues coupons and follows orders, on a real log server: each thing has happened once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from core.events.columns import Event
from core.schema import DecimalUnits
from services.demo.client import again
from services.runtime.facts import columns_from_proto
from services.runtime.roles import Role
from tests.fault.processes import Processes, platform

PEOPLE = 12
_LONG_RUN = pytest.mark.fault
PLACES = (
    "coupon.after_issue",
    "orders.after_commit",
    pytest.param("coupon.before_issue", marks=_LONG_RUN),
    pytest.param("orders.before_commit", marks=_LONG_RUN),
)


async def events_of(processes: Processes) -> list[Event]:
    """Everything in ingest's log, as a reader sees it who comes late."""
    stub = ingest_pb2_grpc.IngestServiceStub(processes.client(Role.INGEST).channel)
    start = ingest_pb2.SubscribeRequest(start=ingest_pb2.SubscribeRequest.Start(max_in_flight=10_000))
    call = stub.Subscribe(metadata=processes.client(Role.INGEST).metadata)
    await call.write(start)
    found: list[Event] = []
    while True:
        response = await asyncio.wait_for(call.read(), 20)
        assert isinstance(response, ingest_pb2.SubscribeResponse)
        found += columns_from_proto(response.batch.events).rows()
        if response.position >= response.last_position:
            call.cancel()
            return found


def order(order_id: str, status: str, **texts: str) -> ingest_pb2.BatchItem:
    """A status of Ann's order."""
    params = {name: facts_pb2.Value(text=text) for name, text in texts.items()}
    whose = [facts_pb2.Identifier(kind="external_id", value="ann")]
    return ingest_pb2.BatchItem(
        order=ingest_pb2.Order(order_id=order_id, status=status, identifiers=whose, params=params)
    )


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
async def test_what_ingest_owns_happens_once(place: str, tmp_path: Path) -> None:
    async with platform(tmp_path, {}, (Role.INGEST,)) as processes:
        client = processes.client(Role.INGEST)
        coupons = coupon_pb2_grpc.CouponServiceStub(client.channel)
        pool = coupon_pb2.SavePoolRequest(pool=coupon_pb2.Pool(name="spring"))
        await again(lambda: coupons.SavePool(pool, metadata=client.metadata))
        codes = coupon_pb2.AddCodesRequest(pool="spring", codes=[f"CODE-{n}" for n in range(PEOPLE)])
        await again(lambda: coupons.AddCodes(codes, metadata=client.metadata))
        processes.kill(Role.INGEST)
        # Orders are followed many at a time: a second commit may never come.
        await processes.restart(Role.INGEST, f"{place}:{1 if place.startswith('orders') else 2}")

        async def issue(number: int) -> str:
            person = facts_pb2.Identifier(kind="external_id", value=f"p{number}")
            request = coupon_pb2.IssueCouponRequest(pool="spring", person=person)
            answer = await again(lambda: coupons.IssueCoupon(request, metadata=client.metadata, timeout=5))
            return answer.coupon.code

        async def sell(number: int) -> None:
            told = [order(f"o{number}", "completed", total="10"), order(f"o{number}", "cancelled")]
            for item in told:
                request = ingest_pb2.IngestBatchRequest(items=[item])
                await again(lambda: client.ingest.IngestBatch(request, metadata=client.metadata, timeout=5))  # noqa: B023
                await asyncio.sleep(0.02)

        async def sell_all() -> None:
            for number in range(PEOPLE):
                await sell(number)

        work = asyncio.gather(*(issue(number) for number in range(PEOPLE)), sell_all())
        await processes.wait_dead(Role.INGEST, 30)
        await processes.restart(Role.INGEST)
        issued = [code for code in await work if code is not None]
        assert sorted(issued) == sorted(codes.codes)

        async def events() -> list[Event]:
            return await again(lambda: events_of(processes))

        deadline_s = asyncio.get_running_loop().time() + 20
        found = await events()
        while sum(one.type == "order_corrected" for one in found) < PEOPLE:
            assert asyncio.get_running_loop().time() < deadline_s, "corrections are missing"
            await asyncio.sleep(0.1)
            found = await events()
        told = Counter(one.params["coupon"] for one in found if one.type == "coupon_issued")
        assert told == Counter(codes.codes)
        corrected = [(one.params["order_id"], one.params["total"]) for one in found if one.type == "order_corrected"]
        assert sorted(corrected, key=str) == sorted(
            ((f"o{number}", DecimalUnits(-100_000)) for number in range(PEOPLE)), key=str
        )
        processes.check_alive()
