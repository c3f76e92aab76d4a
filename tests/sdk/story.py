"""One shop story, which every SDK tells in its own words, and what it must come to.

A visitor looks around, says who she is, and buys. The names are those of the e-commerce specification that Segment and
RudderStack share; shops that send to PostHog use the same ones, because it has none of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.schema import DecimalUnits, parse_decimal

Step = dict[str, object]

_TEA = {"product_id": "yirga", "name": "Yirgacheffe", "category": "tea", "brand": "Hill", "price": 12.75}

_BEFORE: tuple[Step, ...] = (
    {"do": "page", "name": "Home", "properties": {"url": "https://shop.example/"}},
    {"do": "track", "event": "Products Searched", "properties": {"query": "green tea"}},
    {"do": "track", "event": "Product Viewed", "properties": _TEA},
    {"do": "track", "event": "Product Added", "properties": {**_TEA, "cart_id": "c1", "quantity": 2}},
)
_AFTER: tuple[Step, ...] = (
    {"do": "identify", "traits": {"email": "EMAIL", "firstName": "Ann", "city": "Kyiv", "birthday": "1990-02-28"}},
    {"do": "group", "group": "acme", "traits": {"name": "ACME", "plan": "gold"}},
    {"do": "track", "event": "Product Added to Wishlist", "properties": {"product_id": "mug", "category": "cups"}},
    {
        "do": "track",
        "event": "Order Completed",
        "properties": {
            "order_id": "ORDER",
            "revenue": 25.5,
            "coupon": "AUTUMN",
            "products": [{"product_id": "yirga", "category": "tea", "price": 12.75, "quantity": 2}],
        },
    },
)


@dataclass(frozen=True, slots=True)
class Story:
    """The story of one person: every SDK has its own, so that they do not meet."""

    user: str

    @property
    def visitor(self) -> str:
        """The id before she said who she is; browser SDKs choose their own."""
        return f"cookie-of-{self.user}"

    @property
    def email(self) -> str:
        """Her address."""
        return f"{self.user}@example.com"

    @property
    def order_id(self) -> str:
        """Her order."""
        return f"order-of-{self.user}"

    def steps(self, *, in_browser: bool) -> list[Step]:
        """The steps for a driver. A server has no cookie, so it tells of an alias; only apps and servers tell of
        screens."""
        told = [self._step(step, known=False) for step in _BEFORE]
        if not in_browser:
            told.append(self._step({"do": "alias"}, known=True))
        told += [self._step(step, known=True) for step in _AFTER]
        if not in_browser:
            told.append(self._step({"do": "screen", "name": "Thanks"}, known=True))
        return told

    def _step(self, step: Step, *, known: bool) -> Step:
        words = {"EMAIL": self.email, "ORDER": self.order_id}
        return {"user": self.user, "visitor": self.visitor, "known": known, **_said(step, words)}

    def events(self, *, in_browser: bool) -> list[tuple[str, Mapping[str, object]]]:
        """Type and parameters of the events that must arrive, sorted by type; an event may have further parameters."""
        tea = {**_TEA, "price": DecimalUnits(127_500)}
        order = {"order_id": self.order_id, "total": parse_decimal("25.5"), "promo_code": "AUTUMN"}
        found: list[tuple[str, Mapping[str, object]]] = [
            ("order_completed", order),
            ("page_viewed", {"url": "https://shop.example/", "name": "Home"}),
            ("product_added_to_cart", {**tea, "cart_id": "c1", "quantity": 2}),
            ("product_viewed", tea),
            ("products_searched", {"query": "green tea"}),
            ("wishlist_added", {"product_id": "mug", "category": "cups"}),
        ]
        return found if in_browser else sorted([*found, ("screen_viewed", {"name": "Thanks"})], key=lambda one: one[0])


#: Rules of segments -> whether the person of the story is in them.
SEGMENTS: Mapping[str, bool] = {
    'did product_viewed (category = "tea" and price between 12 and 13)': True,
    'did products_searched (query = "green tea")': True,
    "sum(order_completed.total) in last 30 days > 25": True,
    'did order_completed (promo_code = "AUTUMN" and any item (category = "tea" and quantity >= 2))': True,
    'did product_added_to_cart (brand = "Hill") and did wishlist_added (product_id = "mug")': True,
    "sequence in last 7 days: product_viewed as v then order_completed (any item (product_id = v.product_id)) "
    "within 2 days": True,
    'city = "Kyiv" and first_name = "Ann" and email is present': True,
    'birth_date <= 1990-02-28 and group_id = "acme"': True,
    "did order_completed at least 2 times": False,
    "did product_added_to_cart and did not order_completed": False,
}


def _said(value: Step, words: Mapping[str, str]) -> Step:
    """`value` with the words that differ from story to story put in."""

    def put(one: object) -> object:
        if isinstance(one, str):
            return words.get(one, one)
        return {key: put(inner) for key, inner in one.items()} if isinstance(one, dict) else one

    return {key: put(one) for key, one in value.items()}
