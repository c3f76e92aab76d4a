"""What the random worlds speak of: attributes, events, lines, products, and the settings of their workspaces."""

from __future__ import annotations

from collections.abc import Mapping

from core.clock import DAY_US
from core.query.ast import EventSelection
from core.query.names import Setting
from core.query.rfm_model import DEFAULT_MODELS, Axis, NamedCell, RfmModel
from core.schema import Kind

TEXTS = ("", "tea", "Tea", "TEA", "coffee", "tea set", "straße", "STRASSE", "Éclair", "éclair", "ﬀ", "\U0001f600", "+")
INTEGERS = (0, 1, 2, 3, 5, 50, -1, 2**63 - 1, -(2**63))
DECIMALS = (0, 1, 5_000, 10_000, 20_000, 499_999, 500_000, 500_001, 1_000_000, -15_000, 9 * 10**18)
LISTS = ("staff", "asked to be left alone", "empty")
STATUSES = ("waiting", "done", "waiting for ever")
BASES = ("retail", "wholesale")
SCENARIOS = ("welcome", "cart left")
#: Degrees in 1e-7: the middle of circles, points near to it and far away, on both sides of the date line and the pole.
PLACES = (
    (504_500_000, 305_200_000),
    (504_500_001, 305_200_000),
    (504_900_000, 305_200_000),
    (504_500_000, 305_900_000),
    (0, 1_799_999_000),
    (0, -1_799_999_000),
    (899_990_000, 100_000_000),
    (-899_990_000, -800_000_000),
)

ATTRIBUTES: Mapping[str, Kind] = {
    "gender": Kind.TEXT,
    "city": Kind.TEXT,
    "status": Kind.TEXT,
    "time_zone": Kind.TEXT,
    "visits": Kind.INTEGER,
    "balance": Kind.DECIMAL,
    "average_check": Kind.DECIMAL,
    "vip": Kind.BOOLEAN,
    "created": Kind.INSTANT,
    "last_visit": Kind.INSTANT,
    "birth_date": Kind.DATE,
    "loyalty_tags": Kind.TEXT_LIST,
    "bases": Kind.TEXT_LIST,
    "children": Kind.OBJECT_LIST,
    "location": Kind.LOCATION,
}
#: How often each is written, next to the others.
ATTRIBUTE_WEIGHTS = (1, 1, 5, 2, 2, 2, 1, 2, 1, 2, 3, 2, 1, 3, 2)
ELEMENTS: Mapping[str, Kind] = {"name": Kind.TEXT, "gender": Kind.TEXT, "age": Kind.INTEGER, "birth_date": Kind.DATE}
ITEMS: Mapping[str, Kind] = {
    "product_id": Kind.TEXT,
    "category": Kind.TEXT,
    "price": Kind.DECIMAL,
    "quantity": Kind.INTEGER,
    "gift": Kind.BOOLEAN,
}
_PRODUCT: Mapping[str, Kind] = {
    "product_id": Kind.TEXT,
    "category": Kind.TEXT,
    "price": Kind.DECIMAL,
    "quantity": Kind.INTEGER,
    "found": Kind.BOOLEAN,
    "tags": Kind.TEXT_LIST,
    "seen_at": Kind.INSTANT,
    "delivery_date": Kind.DATE,
}
_ORDER: Mapping[str, Kind] = {"total": Kind.DECIMAL, "store": Kind.TEXT, "rating": Kind.INTEGER}
_MESSAGE: Mapping[str, Kind] = {"message_id": Kind.TEXT, "kind": Kind.TEXT, "channel": Kind.TEXT}
MESSAGE_EVENTS = tuple(
    f"message_{verb}" for verb in ("sent", "delivered", "opened", "clicked", "bounced", "unsubscribed", "complained")
)
SCENARIO_EVENTS = ("scenario_entered", "scenario_left")
EVENTS: Mapping[str, Mapping[str, Kind]] = {
    "product_viewed": _PRODUCT,
    "product_list_viewed": {"category": Kind.TEXT},
    "order_completed": _ORDER,
    "order_cancelled": _ORDER,
    "cart_updated": {**_PRODUCT, **_ORDER},
    "app_opened": {},
    "never_happened": {"category": Kind.TEXT},
    **dict.fromkeys(MESSAGE_EVENTS, _MESSAGE),
    "message_sent": {**_MESSAGE, "time_zone": Kind.TEXT},
    "scenario_entered": {"scenario": Kind.TEXT},
    "scenario_left": {"scenario": Kind.TEXT},
}
#: What happens, and how often next to the others.
EVENT_WEIGHTS: Mapping[str, int] = {
    "product_viewed": 25,
    "order_completed": 14,
    "cart_updated": 14,
    "order_cancelled": 4,
    "product_list_viewed": 5,
    "app_opened": 6,
    **dict(zip(MESSAGE_EVENTS, (9, 4, 5, 4, 2, 1, 1), strict=True)),
    **dict.fromkeys(SCENARIO_EVENTS, 3),
}
ITEM_EVENTS = ("order_completed", "order_cancelled", "cart_updated")

#: By fixed bounds, over a period, with cells that overlap and leave gaps.
VIEWS = RfmModel(
    "views",
    EventSelection(("product_viewed", "cart_updated")),
    "price",
    (
        NamedCell("keen", (2, 3), (2, 3), (1, 2)),
        NamedCell("fresh", (3, 3), (1, 3), (1, 2)),
        NamedCell("rich", (1, 3), (1, 1), (2, 2)),
    ),
    period_us=30 * DAY_US,
    recency=Axis(3, (2 * DAY_US, 7 * DAY_US)),
    frequency=Axis(3, (2, 4)),
    monetary=Axis(2),
)
LINES = RfmModel(
    "lines",
    EventSelection(("order_*", "cart_updated"), with_machines=True),
    "items.quantity",
    (NamedCell("few", (1, 3), (1, 2), (1, 3)), NamedCell("many", (1, 3), (3, 3), (2, 3))),
    recency=Axis(3),
    frequency=Axis(3),
    monetary=Axis(3, (20_000, 60_000)),
)
SETTING = Setting("house", 2, {**DEFAULT_MODELS, "views": VIEWS, "lines": LINES})


def params_of(names: tuple[str, ...]) -> dict[str, Kind]:
    """The parameters that some event named (or of the prefix) has."""
    types = [t for t in EVENTS if any(t == n or (n.endswith("*") and t.startswith(n[:-1])) for n in names)]
    return {name: kind for t in types for name, kind in EVENTS[t].items()}
