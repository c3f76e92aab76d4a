from __future__ import annotations

import pytest

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from services.demo.journey import Journey, read
from services.demo.requests import message_requests, order_requests, person_requests, product_requests
from services.demo.wire import Frames, varint
from services.ingest.accept import take_item, take_product
from services.ingest.writer import BatchWriter

_NOW_US = 1_800_000_000_000_000


@pytest.fixture(scope="module")
def journey() -> Journey:
    return read(0.01)


def plain_orders(journey: Journey) -> list[ingest_pb2.Order]:
    """The orders as anybody would write them, one message at a time."""
    orders, lines = journey.orders, journey.lines
    catalogue = {one.number: one for one in journey.products}
    found = []
    for position in range(len(orders)):
        items = []
        for line in range(orders.first_line[position], orders.first_line[position + 1]):
            number = int(lines.product[line])
            fields = {
                "product_id": facts_pb2.Value(text=str(number)),
                "quantity": facts_pb2.Value(integer=int(lines.quantity[line])),
            }
            if lines.price_units[line] >= 0:
                fields["price"] = facts_pb2.Value(decimal_units=int(lines.price_units[line]))
            if lines.discount_units[line]:
                fields["discount"] = facts_pb2.Value(decimal_units=int(lines.discount_units[line]))
            product = catalogue.get(number)
            if product is not None:
                texts = {"category": product.category, "department": product.department, "brand": product.brand}
                fields |= {name: facts_pb2.Value(text=text) for name, text in texts.items() if text}
            items.append(facts_pb2.Object(fields=fields))
        buyer = f"household-{orders.household[position]}"
        found.append(
            ingest_pb2.Order(
                order_id=str(orders.number[position]),
                status="completed",
                occurred_at_us=int(orders.at_us[position]),
                identifiers=[facts_pb2.Identifier(kind="external_id", value=buyer)],
                params={
                    "total": facts_pb2.Value(decimal_units=int(orders.total_units[position])),
                    "store": facts_pb2.Value(text=str(orders.store[position])),
                },
                items=items,
                imported=True,
            )
        )
    return found


def test_orders_laid_together_are_those_that_the_library_writes(journey: Journey) -> None:
    sent = [
        item.order
        for request in order_requests(journey)
        for item in ingest_pb2.IngestBatchRequest.FromString(request.body).items
    ]
    assert sent == plain_orders(journey)


def test_requests_count_their_items_and_stay_within_the_limits(journey: Journey) -> None:
    batches = [*person_requests(journey), *message_requests(journey), *order_requests(journey)]
    for request in batches:
        assert len(ingest_pb2.IngestBatchRequest.FromString(request.body).items) == request.items <= 1_000
        assert len(request.body) < 4 << 20
    for request in product_requests(journey):
        assert len(ingest_pb2.UpsertProductsRequest.FromString(request.body).products) == request.items <= 1_000


def test_a_second_load_brings_the_same_ids_and_everything_is_imported(journey: Journey) -> None:
    assert [*person_requests(journey)] == [*person_requests(journey)]
    assert [*message_requests(journey)] == [*message_requests(journey)]
    ids = []
    for request in (*person_requests(journey), *message_requests(journey)):
        for item in ingest_pb2.IngestBatchRequest.FromString(request.body).items:
            one = item.person if item.WhichOneof("item") == "person" else item.event
            assert one.imported
            ids.append(one.message_id)
    assert len(ids) == len(set(ids)) == len(journey.households) + len(journey.mailings) + len(journey.redemptions)


def test_the_door_takes_every_item(journey: Journey) -> None:
    for request in (*person_requests(journey), *message_requests(journey), *order_requests(journey)):
        for item in ingest_pb2.IngestBatchRequest.FromString(request.body).items:
            outcome = take_item(BatchWriter(), item, _NOW_US)
            assert outcome.refusal is None, item
            assert outcome.notes == (), item
    for request in product_requests(journey):
        for product in ingest_pb2.UpsertProductsRequest.FromString(request.body).products:
            assert take_product(BatchWriter(), product, _NOW_US).refusal is None


def test_what_is_invented_says_so(journey: Journey) -> None:
    first = next(person_requests(journey))
    person = ingest_pb2.IngestBatchRequest.FromString(first.body).items[0].person
    assert person.attributes["email_is_invented"].boolean
    (email,) = (one.value for one in person.identifiers if one.kind == "email")
    assert email.endswith("@example.invalid")
    assert [one.source for one in person.consents] == ["invented for the demo"]


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 16_383, 16_384, 1 << 21])
def test_a_frame_is_what_the_library_writes(length: int) -> None:
    body = b"x" * length
    written = facts_pb2.TextList(values=[body.decode()]).SerializeToString()
    assert Frames(1).around(body) == written
    assert written[1 : len(written) - length] == varint(length)
