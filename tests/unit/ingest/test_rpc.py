"""The gRPC door: durable acknowledgement, ids, results item by item, one entry for many calls."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2 as pb
from core.errors import CdpError
from core.events.columns import IMPORTED, Identifier
from core.schema import DecimalUnits
from services.ingest.accept import take_event, take_order
from services.ingest.writer import BatchWriter
from services.runtime.errors import from_rpc
from tests.unit.ingest.house import DEV, NOW_US, House

ANN = facts_pb2.Identifier(kind="external_id", value="ann")


def order(order_id: str, status: str = "completed", price: str = "12.50") -> pb.Order:
    """An order of two lines."""
    made = pb.Order(order_id=order_id, status=status, occurred_at_us=NOW_US - 5, identifiers=[ANN], imported=True)
    made.params["total"].decimal = "25"
    for number in range(2):
        fields = made.items.add().fields
        fields["product_id"].text = f"p{number}"
        fields["price"].decimal = price
        fields["quantity"].integer = 1
    return made


async def test_track_is_answered_once_it_is_in_the_log(house: House) -> None:
    event = pb.Event(type="Product Viewed", identifiers=[ANN])
    event.params["productId"].integer = 17
    answer = await house.ingest.Track(pb.TrackRequest(event=event), metadata=house.metadata)
    assert answer.position == 1 == (await house.log.bounds(DEV))[1]
    [kept] = await house.events()
    assert (kept.id, kept.type, kept.occurred_at_us) == (answer.message_id, "product_viewed", NOW_US)
    assert kept.params == {"product_id": "17"}
    assert kept.identifiers == (Identifier("external_id", "ann"),)
    assert len(kept.id) == 32


async def test_an_order_is_an_event_with_an_id_of_its_own(house: House) -> None:
    first = await house.ingest.RecordOrder(pb.RecordOrderRequest(order=order("o:1")), metadata=house.metadata)
    second = await house.ingest.RecordOrder(
        pb.RecordOrderRequest(order=order("o:1", "Canceled")), metadata=house.metadata
    )
    assert (first.message_id, second.message_id) == ("order:o:1:completed", "order:o:1:cancelled")
    completed, cancelled, *_ = await house.events()  # what follows of a cancelled order comes behind them
    assert (completed.type, cancelled.type) == ("order_completed", "order_cancelled")
    assert completed.params == {"order_id": "o:1", "status": "completed", "total": DecimalUnits(250_000)}
    assert completed.items[1] == {"product_id": "p1", "price": DecimalUnits(125_000), "quantity": 1}
    assert completed.flags == IMPORTED


async def test_the_same_order_as_a_plain_event_has_the_same_id(house: House) -> None:
    event = pb.Event(type="Order Completed", message_id="m1", identifiers=[ANN])
    event.params["orderId"].text = "o1"
    event.params["revenue"].decimal = "9.99"
    answer = await house.ingest.Track(pb.TrackRequest(event=event), metadata=house.metadata)
    assert answer.message_id == "order:o1:completed"
    [kept] = await house.events()
    assert kept.params["total"] == kept.params["revenue"] == DecimalUnits(99_900)


@pytest.mark.parametrize("status", ["created", "completed", "cancelled", "refunded", "shipped", "out_for_delivery"])
def test_an_order_status_counts_once_however_it_came(status: str) -> None:
    writer = BatchWriter()
    first = take_order(writer, order("7", status), NOW_US)
    event = pb.Event(type=f"order_{status}", message_id="m", identifiers=[ANN])
    event.params["order_id"].text = "7"
    assert take_event(writer, event, NOW_US).message_id == first.message_id == f"order:7:{status}"


def test_an_update_of_an_order_or_a_status_without_an_order_is_a_plain_event() -> None:
    updated = pb.Event(type="order_updated", message_id="m1", identifiers=[ANN])
    updated.params["order_id"].text = "7"
    alone = pb.Event(type="order_shipped", message_id="m2", identifiers=[ANN])
    writer = BatchWriter()
    assert [take_event(writer, one, NOW_US).message_id for one in (updated, alone)] == ["m1", "m2"]


async def test_one_bad_item_fails_nothing_else(house: House) -> None:
    items = [
        pb.BatchItem(order=order("o1")),
        pb.BatchItem(order=order("o2", price="1.23456")),
        pb.BatchItem(),
        pb.BatchItem(
            event=pb.Event(type="page_viewed", identifiers=[facts_pb2.Identifier(kind="email", value="null")])
        ),
        pb.BatchItem(person=pb.Person(identifiers=[ANN], attributes={"First Name": facts_pb2.Value(text="Ann")})),
        pb.BatchItem(product=facts_pb2.Product(product_id="p1", fields={"stock": facts_pb2.Value(integer=3)})),
        pb.BatchItem(link=pb.Link(first=ANN, second=facts_pb2.Identifier(kind="anonymous_id", value="cookie"))),
        pb.BatchItem(event=pb.Event(identifiers=[ANN], message_id="order:x:completed")),
    ]
    answer = await house.ingest.IngestBatch(pb.IngestBatchRequest(items=items), metadata=house.metadata)
    reasons = [result.reason for result in answer.results]
    assert reasons == ["", "BAD_NUMBER", "EMPTY_ITEM", "NO_IDENTIFIER", "", "", "", "NO_TYPE"]
    assert [v.path for v in answer.results[1].violations] == ["order.items[0].price", "order.items[1].price"]
    assert [v.path for v in answer.results[7].violations] == ["event.type", "event.message_id"]
    assert [event.id for event in await house.events()] == ["order:o1:completed"]
    person, product, link = await house.facts()
    assert person.profile.attributes["first_name"].text == "Ann"
    assert person.before_event == 1
    assert product.product.fields["stock"].integer == 3
    assert [one.kind for one in link.profile.identifiers] == ["external_id", "anonymous_id"]
    assert answer.position == 1


@pytest.mark.parametrize("count", [33, 1_000])
async def test_a_large_batch_is_one_entry(house: House, count: int) -> None:
    items = [pb.BatchItem(order=order(f"o{number}")) for number in range(count)]
    items[7].order.items[0].fields["price"].decimal = "NaN"
    answer = await house.ingest.IngestBatch(pb.IngestBatchRequest(items=items), metadata=house.metadata)
    assert [number for number, one in enumerate(answer.results) if one.reason] == [7]
    [columns] = await house.columns()
    assert len(columns) == count - 1
    assert columns.ids[7] == "order:o8:completed"
    assert {column.name for column in columns.item_params} == {"product_id", "price", "quantity"}


async def test_many_calls_at_once_share_few_entries(house: House) -> None:
    calls = [
        house.ingest.Track(
            pb.TrackRequest(event=pb.Event(type="site_visited", message_id=f"m{n}", identifiers=[ANN])),
            metadata=house.metadata,
        )
        for n in range(200)
    ]
    answers = await asyncio.gather(*calls)
    assert {answer.message_id for answer in answers} == {event.id for event in await house.events()}
    batches = await house.columns()
    assert len(batches) < 50
    for answer in answers:
        assert answer.message_id in batches[answer.position - 1].ids


@pytest.mark.parametrize(
    ("items", "reason"), [([], "EMPTY_BATCH"), ([pb.BatchItem()] * 1_001, "BATCH_TOO_LARGE")], ids=["none", "1001"]
)
async def test_the_size_of_a_batch(house: House, items: list[pb.BatchItem], reason: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.ingest.IngestBatch(pb.IngestBatchRequest(items=items), metadata=house.metadata)
    assert from_rpc(refused.value).reason == reason


async def test_a_refusal_names_every_wrong_field(house: House) -> None:
    event = pb.Event(type="x" * 200, occurred_at_us=2**62, identifiers=[ANN])
    event.params["bell"].text = "\a"
    event.params["day"].date_days = 2**31 - 1
    event.params["price"].decimal = "1e400"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.ingest.Track(pb.TrackRequest(event=event), metadata=house.metadata)
    error = from_rpc(refused.value)
    assert error.reason == "BAD_NAME"
    paths = [violation.path for violation in error.violations]
    assert paths == ["event.type", "event.occurred_at_us"] + [
        f"event.params.{name}" for name in ("bell", "day", "price")
    ]
    assert await house.events() == []


async def test_limits_of_size(house: House) -> None:
    event = pb.Event(type="note", identifiers=[ANN])
    event.params["text"].text = "x" * (32 << 10)
    many = pb.Event(type="note", identifiers=[ANN])
    for number in range(1_001):
        many.params[f"p{number}"].integer = number
    wide = pb.Order(order_id="o", status="completed", identifiers=[ANN])
    for _ in range(1_001):
        wide.items.add().fields["quantity"].integer = 1
    for item, reason in (
        (pb.BatchItem(event=event), "ITEM_TOO_LARGE"),
        (pb.BatchItem(event=many), "TOO_MANY_PROPERTIES"),
        (pb.BatchItem(order=wide), "TOO_MANY_ITEMS"),
    ):
        answer = await house.ingest.IngestBatch(pb.IngestBatchRequest(items=[item]), metadata=house.metadata)
        assert answer.results[0].reason == reason


async def test_products_each_on_its_own(house: House) -> None:
    products = [
        facts_pb2.Product(product_id="p1", fields={"Image": facts_pb2.Value(text="https://example.com/1.png")}),
        facts_pb2.Product(product_id=""),
        facts_pb2.Product(product_id="p3", deleted=True),
    ]
    answer = await house.ingest.UpsertProducts(pb.UpsertProductsRequest(products=products), metadata=house.metadata)
    assert [one.reason for one in answer.results] == ["", "NO_PRODUCT_ID", ""]
    kept, deleted = await house.facts()
    assert dict(kept.product.fields)["image_url"].text == "https://example.com/1.png"
    assert deleted.product.deleted


async def test_subscribe_resumes_and_outsiders_hold_nothing_back(house: House) -> None:
    for number in range(3):
        event = pb.Event(type="site_visited", message_id=f"m{number}", identifiers=[ANN])
        await house.ingest.Track(pb.TrackRequest(event=event), metadata=house.metadata)
    start = pb.SubscribeRequest(start=pb.SubscribeRequest.Start(consumer="profile_unification", after_position=1))
    for metadata in (house.metadata, house.internal):
        call = house.ingest.Subscribe(metadata=metadata)
        await call.write(start)
        seen: list[Any] = [await call.read() for _ in range(3)]
        assert [(one.position, list(one.batch.events.ids)) for one in seen] == [(1, []), (2, ["m1"]), (3, ["m2"])]
        call.cancel()
    service = house.host.service(house.host.runtime.settings.roles[0])
    consumers = service._ways.of(house.host.runtime.workspaces.get("dev")).consumers  # type: ignore[attr-defined]
    assert consumers.lowest(("profile_unification",)) == 1


async def test_a_key_may_do_what_its_scope_says(house: House) -> None:
    request = pb.TrackRequest(event=pb.Event(type="site_visited", identifiers=[ANN]))
    for metadata, reason in (((), "NO_KEY"), ((("authorization", "Bearer cdp_x"),), "BAD_KEY")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await house.ingest.Track(request, metadata=metadata)
        error: CdpError = from_rpc(refused.value)
        assert error.reason == reason
