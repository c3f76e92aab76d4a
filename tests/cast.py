"""The five people of the README's examples, and one product, as facts. It is noon UTC on 1 November 2026, a Sunday."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from core.clock import DAY_US
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import AttributeWrite, ContactFact, ContactState, FactBatch, ListChange, ProductState
from core.schema import Scalar, Value, parse_decimal

NOW_US = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
ZONE = "Europe/Kyiv"
PEOPLE = ("Ann", "Bob", "Cid", "Dee", "Eve")

_ATTRIBUTES: dict[str, dict[str, Value]] = {
    "Ann": {"gender": "female", "age": 28, "city": "Kyiv", "email": "ann@example.com", "loyalty_tags": ("gold",)},
    "Bob": {"gender": "male", "age": 35, "city": "Lviv", "email": "bob@example.com"},
    "Cid": {"gender": "female", "age": 45, "city": "Odesa", "email": "cid@example.com", "loyalty_tags": ("vip", "tea")},
    "Dee": {},
    "Eve": {"gender": "female", "age": 29, "city": "Kyiv"},
}

Line = dict[str, Scalar]


def _view(category: str, product: str, price: str) -> Line:
    return {"category": category, "product_id": product, "price": parse_decimal(price)}


#: (person, event type, days ago, parameters, items)
_EVENTS: tuple[tuple[str, str, float, Mapping[str, Scalar], tuple[Line, ...]], ...] = (
    ("Ann", "product_viewed", 3, _view("strollers", "s1", "59.90"), ()),
    ("Ann", "product_viewed", 2, _view("strollers", "s1", "59.90"), ()),
    ("Ann", "cart_updated", 1, {"cart_id": "c1", "total": parse_decimal("59.9")}, (_view("strollers", "s1", "59.9"),)),
    ("Bob", "product_viewed", 5, _view("strollers", "s1", "59.90"), ()),
    ("Bob", "product_viewed", 4, _view("strollers", "s2", "89"), ()),
    (
        "Bob",
        "order_completed",
        42,
        {"order_id": "o1", "total": parse_decimal("300")},
        ({"category": "coffee", "quantity": 2}, {"category": "tea", "quantity": 1}),
    ),
    (
        "Cid",
        "order_completed",
        40,
        {"order_id": "o2", "total": parse_decimal("120.50"), "channel": "store"},
        ({"category": "coffee", "quantity": 1}, {"category": "tea", "quantity": 2}),
    ),
    ("Cid", "message_opened", 10, {"message_id": "m1", "kind": "trigger"}, ()),
    ("Bob", "message_opened", 9, {"message_id": "m2", "kind": "trigger"}, ()),
    ("Bob", "message_opened", 8, {"message_id": "m3", "kind": "promo"}, ()),
    ("Dee", "product_viewed", 6, _view("tea", "t1", "4.50"), ()),
    ("Dee", "site_visited", 6, {}, ()),
)


def batch() -> FactBatch:
    """Everything about the five, as one entry of unification's log. Dee is anonymous. Since yesterday one stroller s1
    is left, and it is cheaper than it was when it was viewed."""
    stroller: Line = {"stock": 1, "price": parse_decimal("49.90")}
    facts: list[ContactFact] = [ProductState("s1", stroller, NOW_US - DAY_US, 0)]
    for number, person in enumerate(PEOPLE):
        known = bool(_ATTRIBUTES[person])
        facts.append(ContactState(number, person, known, 1 if "email" in _ATTRIBUTES[person] else 0, 0, 0))
        facts += [AttributeWrite(number, name, value, 0, False, 0) for name, value in _ATTRIBUTES[person].items()]
    facts.append(ListChange(PEOPLE.index("Eve"), "asked to be left alone", True, 0, False, 0))
    builder = EventColumnsBuilder()
    for number, (_, kind, days, params, items) in enumerate(_EVENTS):
        at_us = NOW_US - int(days * DAY_US)
        builder.add(Event(f"e{number}", kind, at_us, at_us, params=params, items=items))
    contacts = np.array([PEOPLE.index(event[0]) for event in _EVENTS], np.uint32)
    return FactBatch(1, NOW_US, replace(builder.build(), contacts=contacts), tuple(facts))
