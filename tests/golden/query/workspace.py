"""The names that the golden texts speak of."""

from __future__ import annotations

from core.events.vocabulary import ATTRIBUTES, EVENTS, ITEM_PARAMS
from core.query.names import Names
from core.query.text.parse import parse
from core.schema import Kind

WORKSPACE = Names(
    attributes={
        **ATTRIBUTES,
        "status": Kind.TEXT,
        "last_visit": Kind.INSTANT,
        "average_check": Kind.DECIMAL,
        "subscribed": Kind.BOOLEAN,
        "url": Kind.TEXT,
        "favourite shop": Kind.TEXT,
        "address.city": Kind.TEXT,
        "points": Kind.INTEGER,
        "in": Kind.TEXT,
        "pets": Kind.OBJECT_LIST,
    },
    events={
        **EVENTS,
        "Order Completed": {"total": Kind.TEXT},
        "delivery_planned": {"planned_at": Kind.INSTANT, "planned_on": Kind.DATE, "tags": Kind.TEXT_LIST},
    },
    items=ITEM_PARAMS,
    lists=frozenset(("asked to be left alone", "guests")),
    elements={
        ("children", "age"): Kind.INTEGER,
        ("children", "gender"): Kind.TEXT,
        ("children", "born"): Kind.INSTANT,
        ("pets", "kind"): Kind.TEXT,
    },
    segments={
        "contacted this week": parse("received message this calendar week"),
        "VIP": parse('loyalty_status = "vip"'),
        "Section fans": parse("did product_viewed (section = :section) at least :times times in last 30 days"),
        "Rich": parse("sum(order_completed.total) > :limit"),
        "A": parse('in segment "B"'),
        "B": parse('everyone and in segment "A"'),
        "Broken": parse('in segment "VIP" and gendr = "x"'),
    },
    zone="Europe/Kyiv",
)
