"""The quick way and the thorough one take the same calls to the same events, and the quick one takes what is usual."""

from __future__ import annotations

import random
from collections.abc import Mapping
from decimal import Decimal

import pytest

from core.events.checks import Bad
from core.events.schema import Definition, Family, Schema
from core.schema import Kind
from services.ingest.quick_call import take_quickly
from services.ingest.segment_spec import Sending, take_call, take_closely
from services.ingest.writer import BatchWriter

_NOW_US = 1_793_527_200_000_000
_ROUNDS = 400

_SCHEMA = Schema().with_rows(
    [
        Definition(Family.EVENT, "", "door_opened", None, 0),
        Definition(Family.EVENT, "", "old_news", None, 0, retired=True),
        Definition(Family.PARAMETER, "door_opened", "floor", Kind.INTEGER, 0),
        Definition(Family.PARAMETER, "door_opened", "weight", Kind.DECIMAL, 0),
        Definition(Family.PARAMETER, "door_opened", "by_key", Kind.BOOLEAN, 0),
        Definition(Family.PARAMETER, "door_opened", "gone", Kind.TEXT, 0, retired=True),
        Definition(Family.PARAMETER, "door_opened", "side", Kind.TEXT, 0, shown="edge", others=("edge",)),
        Definition(Family.PARAMETER, "product_viewed", "colour", Kind.TEXT, 0),
    ],
    1,
)
_EVENTS = [
    "Product Viewed", "product_viewed", "Door Opened", "Order Completed", "order_updated", "Cart Viewed", "old news",
    "Products Searched", "Product List Viewed", "", None, 7, "\ud800", "new thing", "Checkout Started",
]  # fmt: skip
_NAMES = [
    "price", "Price", "product_id", "productId", "name", "category", "colour", "floor", "weight", "by_key", "gone",
    "side", "edge", "quantity", "total", "revenue", "value", "currency", "coupon", "promo_code", "url", "nested",
    "unheard", "", "a\nb", "_original_at", "query", "found",
]  # fmt: skip
_VALUES: list[object] = [
    "text", "", "12.50", "Ünïcode", "e\u0301", "\x00", "\ud800", 5, -7, 2**63, 2**63 - 1, 10**15, True, False, None,
    Decimal("10.5"), Decimal("7.0"), Decimal("0.00001"), Decimal("NaN"), Bad("BAD_NUMBER", "x"), [], ["a"], {"b": 1},
    {}, "2026-01-01",
]  # fmt: skip
_PLAIN: list[dict[str, object]] = [
    {}, {"price": Decimal("10.5"), "product_id": "p"}, {"colour": "red", "name": "pram", "quantity": 2},
    {"price": 7, "floor": 3}, {"floor": 3, "weight": 70, "by_key": True}, {"url": "https://own.example", "price": None},
]  # fmt: skip
_TIMES: list[object] = [
    None, "2026-11-01T09:59:59Z", "2026-11-01T09:59:59.5Z", "2026-11-01T09:59:59.123Z", "2026-11-01T09:59:59.123456Z",
    "2026-11-01T09:59:60Z", "2026-02-30T09:59:59Z", "2026-11-01T09:59:59+02:00", "2026-11-01 09:59:59Z", "yesterday",
    "0001-01-01T00:00:00Z", 5, "2026-11-01T09:59:59,123Z", "2026-W44-7T09:59:59Z",
]  # fmt: skip
_IDS: list[object] = ["ann", "", "null", "order:7:paid", None, 5, "x" * 300, "Ann\x00", "e\u0301", {}, "anonymous"]


def _object(chance: random.Random, most: int) -> dict[str, object]:
    return {chance.choice(_NAMES): chance.choice(_VALUES) for _ in range(chance.randint(0, most))}


def _item(chance: random.Random) -> dict[str, object]:
    usual = chance.random() < 0.5

    def pick(values: list[object], plain: int) -> object:
        return chance.choice(values[:plain] if usual else values)

    item: dict[str, object] = {"type": chance.choice(["track", "track", "page", "screen"])}
    item["event"] = pick(list(_EVENTS), 3)
    item["userId"] = "ann" if usual else chance.choice(_IDS)
    for key, values in (("anonymousId", _IDS), ("messageId", _IDS)):
        if chance.random() < 0.5:
            item[key] = pick(list(values), 1)
    for key in ("timestamp", "originalTimestamp", "sentAt"):
        if chance.random() < 0.4:
            item[key] = pick(list(_TIMES), 2)
    if chance.random() < 0.9:
        item["properties"] = _object(chance, 4) if chance.random() < 0.97 else chance.choice(_VALUES)
        if usual:
            item["properties"] = dict(chance.choice(_PLAIN))
        if isinstance(item["properties"], dict) and chance.random() < 0.3:
            lines = [_object(chance, 3) for _ in range(chance.randint(0, 3))]
            item["properties"][chance.choice(["products", "items"])] = lines if chance.random() < 0.9 else "lines"
    if chance.random() < 0.7:
        item["context"] = {
            "page": {"url": chance.choice(_VALUES), "title": "t"},
            "locale": chance.choice(_VALUES),
            "campaign": chance.choice([{"source": "mail", "name": "autumn"}, {}, "x"]),
            **({"traits": {"email": "ann@example.com"}} if chance.random() < 0.1 else {}),
        }
    for key in ("name", "category"):
        if chance.random() < 0.2:
            item[key] = chance.choice(_VALUES)
    return item


def _sending(chance: random.Random) -> Sending:
    params = chance.choice([{}, {"browser": "Firefox", "device": "phone"}, {"url": "https://x.example"}])
    sent_at = chance.choice(["2026-11-01T10:00:00.000Z", None, "nonsense"])
    return Sending(_NOW_US, sent_at, flags=chance.choice([0, 2]), params=params)


def _state(writer: BatchWriter) -> object:
    """What the entry holds: generated ids left out."""
    return [
        (one.type, one.occurred_at_us, one.received_at_us, one.identifiers, dict(one.params), one.items, one.flags)
        for one in writer.columns().rows()
    ]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("schema", [None, _SCHEMA], ids=["vocabulary", "schema"])
def test_both_ways_take_the_same(seed: int, schema: Schema | None) -> None:
    chance = random.Random(seed)
    first, second = BatchWriter(schema), BatchWriter(schema)
    for round_ in range(_ROUNDS):
        item, sending = _item(chance), _sending(chance)
        quick = take_call(first, item, None, "batch[0].", sending)
        thorough = take_closely(second, item, item["type"], "batch[0].", sending)
        where = f"seed {seed}, round {round_}: {item}"
        assert (quick.refusal, quick.notes, quick.wants) == (thorough.refusal, thorough.notes, thorough.wants), where
        if item.get("messageId"):
            assert quick.message_id == thorough.message_id, where
        assert len(first) == len(second), where
    assert _state(first) == _state(second), f"seed {seed}"
    assert len(first) > _ROUNDS // 10


def test_usual_calls_go_the_quick_way() -> None:
    writer = BatchWriter(_SCHEMA)
    nothing: Mapping[str, object] = {}
    item = {
        "userId": "ann", "messageId": "m1", "timestamp": "2026-11-01T09:59:59.500Z",
        "properties": {"product_id": "p1", "price": Decimal("12.5"), "name": "Pram", "colour": "red"},
        "context": {"page": {"url": "https://shop.example/p1"}, "locale": "uk-UA", "library": {"name": "x"}},
    }  # fmt: skip
    done = take_quickly(writer, item, "Product Viewed", nothing, _NOW_US, "2026-11-01T10:00:00.000Z", nothing, 0)
    assert done is not None
    assert done.message_id == "m1"
    (event,) = writer.columns().rows()
    assert event.occurred_at_us == _NOW_US - 500_000
    assert set(event.params) == {
        "product_id", "price", "name", "colour", "url", "language", "_original_at", "_sent_at",
    }  # fmt: skip
