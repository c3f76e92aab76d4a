"""Orders, money, coupons, answers and marks through the whole platform: sent at the door, counted in segments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import httpx2
import pytest

from cdp.coupon.v1 import coupon_pb2, coupon_pb2_grpc
from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2, ingest_pb2_grpc
from cdp.money.v1 import money_pb2, money_pb2_grpc
from cdp.order.v1 import order_pb2, order_pb2_grpc
from cdp.profile.v1 import profile_pb2, profile_pb2_grpc
from cdp.segment.v1 import segment_pb2, segment_pb2_grpc
from cdp.workspace.v1 import workspace_pb2, workspace_pb2_grpc
from core.clock import DAY_US, HOUR_US, MINUTE_US, SECOND_US, ManualClock
from core.errors import CdpError
from services.runtime.errors import from_rpc
from services.runtime.roles import Role
from tests.flow.platform import Platform, eventually

NOW_US = int(datetime(2026, 11, 2, 10, tzinfo=UTC).timestamp()) * 1_000_000
V = facts_pb2.Value
SPENT = "sum(any of (order_completed, order_corrected).total)"


class Client:
    """Stubs with the key of a platform."""

    def __init__(self, platform: Platform, channel: grpc.aio.Channel) -> None:
        self.platform = platform
        self.channel = channel
        self.metadata = platform.metadata
        self.segments = segment_pb2_grpc.SegmentServiceStub(channel)
        self.ingest = ingest_pb2_grpc.IngestServiceStub(channel)
        self.money = money_pb2_grpc.MoneyServiceStub(channel)
        self.orders = order_pb2_grpc.OrderServiceStub(channel)
        self.coupons = coupon_pb2_grpc.CouponServiceStub(channel)
        self.profiles = profile_pb2_grpc.ProfileServiceStub(channel)

    async def send(self, *items: ingest_pb2.BatchItem) -> list[ingest_pb2.ItemResult]:
        """What became of each item."""
        request = ingest_pb2.IngestBatchRequest(items=items)
        return list((await self.ingest.IngestBatch(request, metadata=self.metadata)).results)

    async def members(self, text: str) -> int:
        """How many are in a rule now."""
        request = segment_pb2.EvaluateRequest(rule=segment_pb2.RuleSource(text=text))
        return int((await self.segments.Evaluate(request, metadata=self.metadata)).count.total)

    async def soon(self, text: str, expected: int) -> None:
        """Until so many are in a rule."""

        async def there() -> bool:
            return await self.members(text) == expected

        await eventually(there, f"{expected} in: {text}")

    async def rate(self, currency: str, from_us: int, rate: str) -> None:
        """Set a rate."""
        one = money_pb2.Rate(currency=currency, from_us=from_us, rate=rate)
        await self.money.SetRates(money_pb2.SetRatesRequest(rates=[one]), metadata=self.metadata)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    """A client of all roles in one process, which owns the workspace."""
    async with (
        Platform(tmp_path / "data", ManualClock(NOW_US)) as platform,
        platform.channel(Role.SEGMENT_ENGINE) as channel,
    ):
        made = Client(platform, channel)

        async def owned() -> bool:
            try:
                await made.coupons.ListPools(coupon_pb2.ListPoolsRequest(), metadata=made.metadata)
            except grpc.aio.AioRpcError:
                return False
            return True

        await eventually(owned, "ingest owns the workspace")
        yield made


def who(name: str) -> list[facts_pb2.Identifier]:
    """Who it is."""
    return [facts_pb2.Identifier(kind="external_id", value=name)]


def order(
    order_id: str, status: str, at_us: int = NOW_US - HOUR_US, whose: str = "ann", **params: str
) -> ingest_pb2.BatchItem:
    """A status of an order; numbers are written as texts."""
    values = {name: V(text=text) for name, text in params.items()}
    return ingest_pb2.BatchItem(
        order=ingest_pb2.Order(
            order_id=order_id, status=status, occurred_at_us=at_us, identifiers=who(whose), params=values
        )
    )


def event(kind: str, at_us: int = 0, whose: str = "ann", message_id: str = "", **params: V) -> ingest_pb2.BatchItem:
    """An event."""
    return ingest_pb2.BatchItem(
        event=ingest_pb2.Event(
            type=kind, occurred_at_us=at_us, identifiers=who(whose), params=params, message_id=message_id
        )
    )


async def error_of(call: Any) -> CdpError:
    """The error of a call."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_rpc(caught.value)


async def test_sums_follow_the_status_whatever_comes_first(client: Client) -> None:
    at = NOW_US - 10 * DAY_US
    results = await client.send(
        order("o1", "refunded", at + 2 * DAY_US, refund_id="r1", amount="30"),
        order("o1", "completed", at, total="100"),
        order("o1", "refunded", at + 3 * DAY_US, refund_id="r2", amount="20.5"),
        order("o1", "refunded", at + 3 * DAY_US, refund_id="r2", amount="20.5"),
        order("o2", "cancelled", at + DAY_US, "bob"),
        order("o2", "completed", at, "bob", total="70"),
        order("o3", "cancelled", at, "eve", total="55"),
        event("Order Completed", at, "kim", order_id=V(text="o4"), revenue=V(integer=10)),
        event("Order Returned", at + DAY_US, "kim", order_id=V(text="o4")),
    )
    assert [one.reason for one in results] == [""] * 9
    await client.soon(f"{SPENT} = 49.5", 1)
    await client.soon(f"did order_completed and {SPENT} = 0", 2)
    assert await client.members(f"{SPENT} < 0") == 0
    # Ten days ago it was still worth everything.
    await client.soon(f"{SPENT} more than 9 days ago = 100", 1)
    found = await client.orders.GetOrder(order_pb2.GetOrderRequest(order_id="o1"), metadata=client.metadata)
    assert (found.order.total_units, found.order.worth_units) == (1_000_000, 495_000)
    assert [one.status for one in found.order.statuses] == ["completed", "refunded:r1", "refunded:r2"]
    await client.send(order("o1", "cancelled", at + 5 * DAY_US))
    await client.soon(f"did order_completed and {SPENT} = 0", 3)
    missing = await error_of(client.orders.GetOrder(order_pb2.GetOrderRequest(order_id="no"), metadata=client.metadata))
    assert missing.reason == "NO_SUCH_ORDER"


async def test_money_is_converted_by_the_rate_of_its_day(client: Client) -> None:
    at = NOW_US - 5 * DAY_US
    [refused] = await client.send(order("e1", "completed", at, total="10", currency="EUR"))
    assert (refused.reason, refused.violations[0].path) == ("NO_RATE", "order.params.currency")
    await client.rate("EUR", at - DAY_US, "1.1")
    await client.rate("EUR", at + DAY_US, "1.25")
    client.platform.clock.advance(SECOND_US)
    lines = [facts_pb2.Object(fields={"product_id": V(text="tea"), "price": V(text="4"), "quantity": V(integer=2)})]
    with_lines = order("e1", "completed", at, total="10.0005", currency="eur")
    with_lines.order.items.extend(lines)
    plain = event("product_viewed", at + 2 * DAY_US, price=V(text="2"), currency=V(text="EUR"))
    home = order("e2", "completed", at, "bob", total="10", currency="USD")
    assert [one.reason for one in await client.send(with_lines, plain, home)] == ["", "", ""]
    await client.soon("sum(order_completed.total) = 11.0006", 1)  # 11.00055, half to even
    await client.soon("did order_completed (total_original = 10.0005 and any item (price = 4.4))", 1)
    await client.soon("did product_viewed (price = 2.5 and price_original = 2)", 1)
    await client.soon("sum(order_completed.total) = 10", 1)
    [before] = await client.send(order("e3", "completed", at - 2 * DAY_US, total="10", currency="EUR"))
    assert before.reason == "NO_RATE"
    listed = await client.money.ListRates(money_pb2.ListRatesRequest(page_size=1), metadata=client.metadata)
    assert (listed.currency, [one.rate for one in listed.rates]) == ("USD", ["1.25"])
    rest = money_pb2.ListRatesRequest(page_token=listed.next_page_token)
    assert [one.rate for one in (await client.money.ListRates(rest, metadata=client.metadata)).rates] == ["1.1"]
    for rate in (money_pb2.Rate(currency="USD", rate="2"), money_pb2.Rate(currency="EUR", rate="0"),
                 money_pb2.Rate(currency="€", rate="1"), money_pb2.Rate(currency="EUR", rate="-1")):  # fmt: skip
        request = money_pb2.SetRatesRequest(rates=[rate])
        assert (await error_of(client.money.SetRates(request, metadata=client.metadata))).reason == "BAD_RATE"


async def test_coupons_are_issued_exactly_once(client: Client) -> None:
    stub, metadata = client.coupons, client.metadata
    pool = coupon_pb2.Pool(name="spring", value_units=100_000, unit=coupon_pb2.VALUE_UNIT_PER_CENT, valid_days=7)
    pool.limit_per_person = 2
    await stub.SavePool(coupon_pb2.SavePoolRequest(pool=pool), metadata=metadata)
    codes = [f"CODE-{n:04d}" for n in range(60)]
    added = await stub.AddCodes(coupon_pb2.AddCodesRequest(pool="spring", codes=[*codes, codes[0]]), metadata=metadata)
    assert (added.added, added.known) == (60, 1)

    async def issue(person: str, occasion: str, request_id: str = "") -> coupon_pb2.IssueCouponResponse:
        request = coupon_pb2.IssueCouponRequest(
            pool="spring", person=who(person)[0], occasion=occasion, request_id=request_id
        )
        return await stub.IssueCoupon(request, metadata=metadata)

    answers = await asyncio.gather(*(issue(f"p{n % 20}", "birthday") for n in range(100)))
    assert len({one.coupon.code for one in answers}) == 20
    assert sum(not one.repeated for one in answers) == 20
    await issue("p0", "other", "r")
    assert (await issue("p0", "again", "r")).repeated
    assert (await error_of(issue("p1", "again", "r"))).reason == "REQUEST_ID_TAKEN"
    assert (await error_of(issue("p0", "third"))).reason == "COUPON_LIMIT"
    await client.soon('did coupon_issued (pool = "spring" and value = 10 and unit = "percent")', 20)

    mine, stolen = answers[0].coupon.code, answers[1].coupon.code
    redeem = coupon_pb2.RedeemCouponRequest(code=mine, person=who("p0")[0], request_id="x")
    assert not (await stub.RedeemCoupon(redeem, metadata=metadata)).repeated
    assert (await stub.RedeemCoupon(redeem, metadata=metadata)).repeated
    redeem.request_id = "y"
    assert (await error_of(stub.RedeemCoupon(redeem, metadata=metadata))).reason == "COUPON_USED_UP"
    # Another person's code in an order: it counts, and is told.
    await client.send(order("oc", "completed", NOW_US, "p7", total="5", promo_code=stolen))
    await client.soon("did coupon_redeemed (other_person = true)", 1)
    await client.soon('did coupon_redeemed (order_id = "oc")', 1)
    client.platform.clock.advance(8 * DAY_US)
    await client.soon("did coupon_expired", 19)  # all but those of p1 and the first of p0
    figures = (await stub.GetPool(coupon_pb2.GetPoolRequest(name="spring"), metadata=metadata)).pool.figures
    assert (figures.issued, figures.redeemed, figures.expired, figures.left) == (21, 2, 19, 39)
    late = coupon_pb2.RedeemCouponRequest(code=answers[2].coupon.code)
    assert (await error_of(stub.RedeemCoupon(late, metadata=metadata))).reason == "COUPON_EXPIRED"


async def test_a_person_is_one_however_the_address_is_written(client: Client) -> None:
    stub, metadata = client.coupons, client.metadata
    pool = coupon_pb2.Pool(name="letters", pattern="ONE-######")
    await stub.SavePool(coupon_pb2.SavePoolRequest(pool=pool), metadata=metadata)
    codes = set()
    for address in ("Ann@Shop.example", "ann@shop.example", " ANN@SHOP.EXAMPLE "):
        person = facts_pb2.Identifier(kind="email", value=address)
        request = coupon_pb2.IssueCouponRequest(pool="letters", person=person)
        codes.add((await stub.IssueCoupon(request, metadata=metadata)).coupon.code)
    [code] = codes
    request_ = coupon_pb2.RedeemCouponRequest(
        code=code, person=facts_pb2.Identifier(kind="email", value="ANN@shop.example")
    )
    assert not (await stub.RedeemCoupon(request_, metadata=metadata)).other_person


async def test_codes_are_made_by_a_pattern(client: Client) -> None:
    pool = coupon_pb2.Pool(name="made", pattern="VIP-######")
    await client.coupons.SavePool(coupon_pb2.SavePoolRequest(pool=pool), metadata=client.metadata)
    codes = set()
    for n in range(5):
        request = coupon_pb2.IssueCouponRequest(pool="made", person=who(f"m{n}")[0])
        codes.add((await client.coupons.IssueCoupon(request, metadata=client.metadata)).coupon.code)
    assert len(codes) == 5
    assert all(
        len(code) == 10 and code.startswith("VIP-") and not set(code[4:]) & set("0O1IL5S8B2ZUV") for code in codes
    )
    for bad in (coupon_pb2.Pool(name="Bad"), coupon_pb2.Pool(name="x", pattern="A#"), coupon_pb2.Pool(value_units=1)):
        save = client.coupons.SavePool(coupon_pb2.SavePoolRequest(pool=bad), metadata=client.metadata)
        assert (await error_of(save)).reason == "BAD_POOL"


async def test_answers_say_something_about_the_person(client: Client) -> None:
    visitor = [facts_pb2.Identifier(kind="anonymous_id", value="cookie-1234567")]
    params = {
        "form": V(text="popup"),
        "list": V(text="tea lovers"),
        "attributes.favourite": V(text="oolong"),
        "consents": V(texts=facts_pb2.TextList(values=["email"])),
        "url": V(text="https://shop.example/"),
    }
    form = ingest_pb2.BatchItem(
        event=ingest_pb2.Event(type="form_submitted", identifiers=visitor, params=params, message_id="f1")
    )
    pool = coupon_pb2.Pool(name="welcome", pattern="HI-######", for_forms=True)
    await client.coupons.SavePool(coupon_pb2.SavePoolRequest(pool=pool), metadata=client.metadata)
    params["coupon_pool"] = V(text="welcome")
    form.event.params["coupon_pool"].text = "welcome"
    nps = event("survey_answered", NOW_US - HOUR_US, survey=V(text="NPS"), score=V(integer=9))
    wrong = event("survey_answered", survey=V(text="nps"), score=V(integer=11))
    results = await client.send(form, nps, wrong)
    assert [one.reason for one in results] == ["", "", "BAD_SCORE"]
    await client.soon("nps = 9", 1)
    await client.soon('among anonymous contacts: in list "tea lovers" and favourite = "oolong"', 1)
    # The motive: a coupon of their own, once, however often the form comes.
    again = ingest_pb2.BatchItem(event=ingest_pb2.Event(type="form_submitted", identifiers=visitor, params=params))
    await client.send(again)
    await client.soon('among anonymous contacts: did coupon_issued (pool = "welcome") exactly 1 time', 1)
    # They become known later and keep what they chose.
    known = ingest_pb2.Person(identifiers=[*visitor, *who("zoe")])
    await client.send(ingest_pb2.BatchItem(person=known))
    await client.soon('in list "tea lovers" and favourite = "oolong"', 1)
    request = profile_pb2.GetRequest(identifier=who("zoe")[0])
    profile = (await client.profiles.Get(request, metadata=client.metadata)).profile
    [consent] = profile.consents
    assert (consent.channel, consent.state, consent.source) == ("email", "granted", "form:popup")
    assert consent.proof == "popup https://shop.example/"


async def test_a_later_mark_applies_to_the_past(client: Client) -> None:
    opened = [event("message_opened", NOW_US - n * MINUTE_US, f"m{n}", f"open-{n}") for n in range(1, 5)]
    await client.send(*opened)
    request = segment_pb2.SaveSegmentRequest(
        name="readers", rule=segment_pb2.RuleSource(text="opened message in last 7 days")
    )
    await client.segments.SaveSegment(request, metadata=client.metadata)
    await client.soon("opened message", 4)
    mark = ingest_pb2.Mark(
        identifiers=who("m2"),
        events=[facts_pb2.MarkedEvent(id="open-2", occurred_at_us=NOW_US - 2 * MINUTE_US)],
        reason="every_link",
    )
    [taken] = await client.send(ingest_pb2.BatchItem(mark=mark))
    assert taken.reason == ""
    await client.soon("opened message", 3)
    await client.soon('in segment "readers"', 3)
    about = profile_pb2.GetRequest(identifier=who("m2")[0], timeline_size=5)
    found = await client.profiles.Get(about, metadata=client.metadata)
    assert [(one.id, one.machine) for one in found.timeline] == [("open-2", True)]
    for bad in (ingest_pb2.Mark(identifiers=who("m2")), ingest_pb2.Mark(events=mark.events)):
        [refused] = await client.send(ingest_pb2.BatchItem(mark=bad))
        assert refused.reason in ("BAD_MARK", "NO_IDENTIFIER")


async def test_late_repeated_and_future_facts(client: Client) -> None:
    results = await client.send(
        event("product_viewed", NOW_US - MINUTE_US, "late", "v1"),
        event("product_viewed", NOW_US - 6 * HOUR_US, "late", "v2"),
        event("product_viewed", NOW_US - 400 * DAY_US, "late", "v3"),
        event("product_viewed", NOW_US - MINUTE_US, "late", "v1"),
        event("product_viewed", NOW_US + 5 * MINUTE_US, "ahead", "v4"),
        event("product_viewed", NOW_US + 365 * DAY_US, "ahead", "v5"),
        event("product_viewed", NOW_US + SECOND_US, "skewed", "v6"),
    )
    assert [one.reason for one in results] == [""] * 7
    assert [len(one.violations) for one in results] == [0, 0, 0, 0, 1, 1, 0]
    assert "lies ahead" in results[4].violations[0].description
    await client.soon("did product_viewed exactly 3 times", 1)
    assert await client.members("did product_viewed more than 399 days ago") == 1
    assert await client.members("did product_viewed in last 7 hours exactly 2 times") == 1
    assert await client.members("did product_viewed in last 30 days") == 1
    client.platform.clock.advance(6 * MINUTE_US)
    await client.soon("did product_viewed in last 30 days", 3)
    client.platform.clock.advance(366 * DAY_US)
    await client.soon("did product_viewed exactly 2 times", 1)


async def test_wrong_clocks_of_devices_do_not_matter(client: Client) -> None:
    def text(us: int) -> str:
        return datetime.fromtimestamp(us / 1_000_000, UTC).isoformat(timespec="milliseconds")

    skew_us = 3 * DAY_US
    batch = [
        {"type": "track", "event": "Tea Poured", "userId": name, "messageId": name, "timestamp": text(at_us + skew)}
        for name, at_us, skew in (("ahead", NOW_US - HOUR_US, skew_us), ("other", NOW_US - 2 * HOUR_US, skew_us))
    ]
    url = f"{client.platform.http_url(Role.INGEST)}/v1/batch"
    async with httpx2.AsyncClient(auth=(client.platform.key, "")) as shop:
        answer = await shop.post(url, json={"batch": batch, "sentAt": text(NOW_US + skew_us)})
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        # Without sentAt nobody knows of the skew: the event waits, and the sender is told.
        answer = await shop.post(url, json={"batch": [{**batch[0], "messageId": "unsent", "userId": "waiting"}]})
        assert answer.status_code == 200
        assert "lies ahead" in answer.json()["left_out"][0]["description"]
    await client.soon("did tea_poured in last 90 minutes", 1)
    await client.soon("did tea_poured", 2)
    client.platform.clock.advance(3 * DAY_US)
    await client.soon("did tea_poured", 3)


async def test_one_id_in_two_workspaces_is_two_events(client: Client) -> None:
    made = await workspace_pb2_grpc.WorkspaceServiceStub(client.channel).CreateWorkspace(
        workspace_pb2.CreateWorkspaceRequest(workspace=workspace_pb2.Workspace(id="other-shop", currency="EUR")),
        metadata=client.metadata,
    )
    other = (("authorization", f"Bearer {made.secret}"),)
    same = event("tea_poured", NOW_US - HOUR_US, "ann", "the-same")
    for metadata in (client.metadata, other):
        [taken] = (
            await client.ingest.IngestBatch(ingest_pb2.IngestBatchRequest(items=[same]), metadata=metadata)
        ).results
        assert taken.reason == ""
    # Each in its own currency: EUR is foreign here and at home there.
    abroad = order("x", "completed", total="5", currency="EUR")
    [here] = await client.send(abroad)
    [there] = (await client.ingest.IngestBatch(ingest_pb2.IngestBatchRequest(items=[abroad]), metadata=other)).results
    assert (here.reason, there.reason) == ("NO_RATE", "")
    await client.soon("did tea_poured exactly 1 time", 1)
    client.metadata = other

    async def ready() -> bool:
        try:
            return await client.members("did tea_poured exactly 1 time") == 1
        except grpc.aio.AioRpcError:
            return False  # the workspace is new, nobody may own it yet

    await eventually(ready, "the other workspace has its own")
