"""Refusals that name the place: a currency that money is told in, a pool that is over, tokens of no page, nobody."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import grpc
import pytest

from cdp.bulk.v1 import bulk_pb2, bulk_pb2_grpc
from cdp.catalog.v1 import catalog_pb2, catalog_pb2_grpc
from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.money.v1 import money_pb2, money_pb2_grpc
from cdp.workspace.v1 import workspace_pb2 as pb
from core.clock import DAY_US
from core.errors import CdpError
from services.runtime.errors import from_rpc
from tests.flow.platform import eventually
from tests.unit.ingest.house import NOW_US, House


async def _refusal(call: Awaitable[object]) -> CdpError:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    return from_rpc(refused.value)


async def _change(house: House, **fields: str) -> pb.Workspace:
    request = pb.UpdateWorkspaceRequest(workspace=pb.Workspace(**fields))  # type: ignore[arg-type]
    return (await house.workspaces.UpdateWorkspace(request, metadata=house.metadata)).workspace


async def _pools(house: House) -> coupon_pb2_grpc.CouponServiceStub:
    """CouponService, once the workspace is owned."""
    stub = coupon_pb2_grpc.CouponServiceStub(house.channel)

    async def owned() -> bool:
        try:
            await stub.ListPools(coupon_pb2.ListPoolsRequest(), metadata=house.metadata)
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            return False
        return True

    await eventually(owned, "ingest owns the workspace")
    return stub


async def _with_rates(house: House) -> None:
    rates = [money_pb2.Rate(currency="JPY", from_us=0, rate="0.2")]
    stub = money_pb2_grpc.MoneyServiceStub(house.channel)
    await stub.SetRates(money_pb2.SetRatesRequest(rates=rates), metadata=house.metadata)


async def _with_an_event(house: House) -> None:
    assert (await house.post("/v1/track", {"event": "x", "userId": "ann"})).status_code == 200


async def _with_a_pool(house: House) -> None:
    pool = coupon_pb2.Pool(name="spring", pattern="SPRING-########")
    await (await _pools(house)).SavePool(coupon_pb2.SavePoolRequest(pool=pool), metadata=house.metadata)


@pytest.mark.parametrize("tell", [_with_rates, _with_an_event, _with_a_pool])
async def test_a_currency_stays_once_anything_is_told_in_it(
    house: House, tell: Callable[[House], Awaitable[None]]
) -> None:
    assert (await _change(house, currency="CHF")).currency == "CHF"
    await tell(house)
    error = await _refusal(_change(house, currency="PLN"))
    assert (error.reason, error.violations[0].path) == ("CURRENCY_IN_USE", "workspace.currency")
    kept = await _change(house, display_name="the shop", currency="CHF")
    assert (kept.display_name, kept.currency) == ("the shop", "CHF")


async def test_a_pool_whose_end_has_passed_is_no_new_one(house: House) -> None:
    stub = await _pools(house)

    async def save(**fields: object) -> coupon_pb2.Pool:
        pool = coupon_pb2.Pool(name="spring", pattern="SPRING-########", **fields)  # type: ignore[arg-type]
        return (await stub.SavePool(coupon_pb2.SavePoolRequest(pool=pool), metadata=house.metadata)).pool

    error = await _refusal(save(expires_at_us=NOW_US - DAY_US))
    assert (error.reason, error.violations[0].path) == ("BAD_POOL", "pool.expires_at_us")
    await save(expires_at_us=NOW_US + DAY_US)
    house.clock.advance(2 * DAY_US)
    assert (await save(expires_at_us=NOW_US + DAY_US, title="of the past")).title == "of the past"
    assert (await _refusal(save(expires_at_us=NOW_US + DAY_US + 1))).reason == "BAD_POOL"


@pytest.mark.parametrize("token", ["!!", "a/b", "x" * 1_000, "Ж"])
async def test_a_token_that_no_answer_gave(house: House, token: str) -> None:
    pools = await _pools(house)
    files = bulk_pb2_grpc.BulkServiceStub(house.channel)
    feeds = catalog_pb2_grpc.CatalogServiceStub(house.channel)
    calls: list[Awaitable[object]] = [
        pools.ListPools(coupon_pb2.ListPoolsRequest(page_token=token), metadata=house.metadata),
        files.ListFiles(bulk_pb2.ListFilesRequest(page_token=token), metadata=house.metadata),
        feeds.ListFeeds(catalog_pb2.ListFeedsRequest(page_token=token), metadata=house.metadata),
    ]
    assert [(await _refusal(call)).reason for call in calls] == ["BAD_PAGE_TOKEN"] * 3


async def test_a_call_without_a_person_is_told_where_to_name_one(house: House) -> None:
    answer = (await house.post("/v1/track", {"event": "x"})).json()
    assert answer["reason"] == "NO_IDENTIFIER"
    assert "userId or anonymousId" in answer["message"], answer
    batch = {"batch": [{"type": "track", "event": "x"}, {"type": "identify", "traits": {"name": "Ann"}}]}
    rejected = (await house.post("/v1/batch", batch)).json()["rejected"]
    assert [one["path"] for one in rejected] == ["identifiers", "identifiers"]
    assert rejected[1]["description"].endswith("give batch[1].userId or batch[1].anonymousId")
