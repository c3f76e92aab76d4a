"""The journey as requests of the public API: serialised IngestBatchRequest and UpsertProductsRequest messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cdp.facts.v1 import facts_pb2
from cdp.ingest.v1 import ingest_pb2
from services.demo.journey import Household, Journey, Mailing, Redemption
from services.demo.wire import Frames

_ITEMS_PER_REQUEST = 500
_ORDERS_PER_REQUEST = 300

_ORDER_ITEM = Frames(ingest_pb2.Order.ITEMS_FIELD_NUMBER)
_BATCH_ORDER = Frames(ingest_pb2.BatchItem.ORDER_FIELD_NUMBER)
_REQUEST_ITEM = Frames(ingest_pb2.IngestBatchRequest.ITEMS_FIELD_NUMBER)


@dataclass(frozen=True, slots=True)
class Request:
    """A serialised request and how many items it holds. The same journey gives the same bytes and message ids."""

    body: bytes
    items: int


def external_id(household: int) -> str:
    """The id under which a household's facts come."""
    return f"household-{household}"


def invented_email(household: int) -> str:
    """An address that nobody can have: the data hold no emails."""
    return f"household-{household}@example.invalid"


def person_requests(journey: Journey) -> Iterator[Request]:
    """Households as persons: their traits, an invented email and the invented consent to it."""
    return _batches(ingest_pb2.BatchItem(person=_person(one)) for one in journey.households)


def message_requests(journey: Journey) -> Iterator[Request]:
    """Campaign mailings as message_sent, coupon redemptions as coupon_redeemed."""
    events = [*map(_mailing, journey.mailings), *map(_redemption, journey.redemptions)]
    return _batches(ingest_pb2.BatchItem(event=event) for event in events)


def product_requests(journey: Journey) -> Iterator[Request]:
    """The catalogue, as UpsertProductsRequest."""
    products = [
        facts_pb2.Product(
            product_id=str(one.number),
            fields=_texts(
                {
                    "name": f"{one.name} {one.size}".strip(),
                    "category": one.category,
                    "department": one.department,
                    "brand": one.brand,
                }
            ),
        )
        for one in journey.products
    ]
    for start in range(0, len(products), _ITEMS_PER_REQUEST):
        chunk = products[start : start + _ITEMS_PER_REQUEST]
        yield Request(ingest_pb2.UpsertProductsRequest(products=chunk).SerializeToString(), len(chunk))


def order_requests(journey: Journey) -> Iterator[Request]:
    """Baskets as completed orders with their lines, in the order of time."""
    orders, item = journey.orders, _Items(journey)
    first_line = orders.first_line.tolist()
    columns = (orders.number, orders.household, orders.store, orders.at_us, orders.total_units)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    buyers: dict[int, list[facts_pb2.Identifier]] = {}
    parts: list[bytes] = []
    for position, (number, household, store, at_us, total_units) in enumerate(rows):
        buyer = buyers.get(household)
        if buyer is None:
            buyer = buyers[household] = [facts_pb2.Identifier(kind="external_id", value=external_id(household))]
        head = ingest_pb2.Order(
            order_id=str(number),
            status="completed",
            occurred_at_us=at_us,
            identifiers=buyer,
            params={
                "total": facts_pb2.Value(decimal_units=total_units),
                "store": facts_pb2.Value(text=str(store)),
            },
            imported=True,
        ).SerializeToString()
        order = head + b"".join(item.framed(first_line[position], first_line[position + 1]))
        batch_item = _BATCH_ORDER.around(order)
        parts += (_REQUEST_ITEM.before(len(batch_item)), batch_item)
        if len(parts) == 2 * _ORDERS_PER_REQUEST:
            yield Request(b"".join(parts), _ORDERS_PER_REQUEST)
            parts.clear()
    if parts:
        yield Request(b"".join(parts), len(parts) // 2)


class _Items:
    """Basket lines as serialised facts_pb2.Object messages, made of parts that repeat."""

    def __init__(self, journey: Journey) -> None:
        lines = journey.lines
        self._columns = tuple(
            column.tolist() for column in (lines.product, lines.quantity, lines.price_units, lines.discount_units)
        )
        self._catalogue = {
            one.number: {"category": one.category, "department": one.department, "brand": one.brand}
            for one in journey.products
        }
        self._products = _Kept(lambda number: _texts({"product_id": str(number), **self._catalogue.get(number, {})}))
        self._quantities = _Kept(lambda quantity: {"quantity": facts_pb2.Value(integer=quantity)})
        self._prices = _Kept(_price)
        self._discounts = _Kept(_discount)

    def framed(self, start: int, end: int) -> Iterator[bytes]:
        """Frame and body of lines `start` to `end`, exclusive."""
        products, quantities, prices, discounts = self._products, self._quantities, self._prices, self._discounts
        before = _ORDER_ITEM.before
        for product, quantity, price, discount in zip(*(column[start:end] for column in self._columns), strict=True):
            body = products[product] + quantities[quantity] + prices[price] + discounts[discount]
            yield before(len(body))
            yield body


class _Kept(dict[int, bytes]):
    """Serialised objects with a few fields by the number they are made of, each made at its first use."""

    def __init__(self, fields: Callable[[int], Mapping[str, facts_pb2.Value]]) -> None:
        super().__init__()
        self._fields = fields

    def __missing__(self, number: int) -> bytes:
        body = self[number] = facts_pb2.Object(fields=self._fields(number)).SerializeToString()
        return body


def _price(units: int) -> dict[str, facts_pb2.Value]:
    return {} if units < 0 else {"price": facts_pb2.Value(decimal_units=units)}


def _discount(units: int) -> dict[str, facts_pb2.Value]:
    return {} if units == 0 else {"discount": facts_pb2.Value(decimal_units=units)}


def _texts(fields: Mapping[str, str]) -> dict[str, facts_pb2.Value]:
    return {name: facts_pb2.Value(text=text) for name, text in fields.items() if text}


def _person(one: Household) -> ingest_pb2.Person:
    return ingest_pb2.Person(
        message_id=f"journey-{external_id(one.number)}",
        occurred_at_us=one.first_basket_at_us,
        identifiers=[
            facts_pb2.Identifier(kind="external_id", value=external_id(one.number)),
            facts_pb2.Identifier(kind="email", value=invented_email(one.number)),
        ],
        attributes={
            **_texts(one.traits),
            "created": facts_pb2.Value(instant_us=one.first_basket_at_us),
            "email_is_invented": facts_pb2.Value(boolean=True),
        },
        consents=[facts_pb2.ConsentChange(channel="email", state="granted", source="invented for the demo")],
        imported=True,
    )


def _mailing(one: Mailing) -> ingest_pb2.Event:
    message_id = f"journey-campaign-{one.campaign}-{external_id(one.household)}"
    params = {
        "message_id": message_id,
        "kind": "promo",
        "channel": "paper mail",  # what the campaigns of the data were
        "campaign": f"campaign {one.campaign}",
        "campaign_type": one.campaign_type,
    }
    return _event(message_id, "message_sent", one.household, one.at_us, params)


def _redemption(one: Redemption) -> ingest_pb2.Event:
    # The data hold each (household, coupon, campaign, day) once.
    message_id = f"journey-redemption-{one.coupon}-{one.campaign}-{one.at_us}-{external_id(one.household)}"
    params = {"coupon": str(one.coupon), "campaign": f"campaign {one.campaign}"}
    return _event(message_id, "coupon_redeemed", one.household, one.at_us, params)


def _event(message_id: str, event_type: str, household: int, at_us: int, params: Mapping[str, str]) -> ingest_pb2.Event:
    return ingest_pb2.Event(
        message_id=message_id,
        type=event_type,
        occurred_at_us=at_us,
        identifiers=[facts_pb2.Identifier(kind="external_id", value=external_id(household))],
        params=_texts(params),
        imported=True,
    )


def _batches(items: Iterable[ingest_pb2.BatchItem]) -> Iterator[Request]:
    chunk: list[ingest_pb2.BatchItem] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == _ITEMS_PER_REQUEST:
            yield Request(ingest_pb2.IngestBatchRequest(items=chunk).SerializeToString(), len(chunk))
            chunk = []
    if chunk:
        yield Request(ingest_pb2.IngestBatchRequest(items=chunk).SerializeToString(), len(chunk))
