"""Who is in each template and who is not, in canonical facts. It is Sunday, 1 November 2026, 12:00 UTC."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime

import numpy as np

from core.clock import DAY_US
from core.events.columns import Event, EventColumnsBuilder
from core.events.facts import CHANNELS, AttributeWrite, ContactFact, ContactState, FactBatch, ProductState
from core.schema import Scalar, Value, parse_decimal

NOW_US = int(datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
ZONE = "Europe/Kyiv"

Line = Mapping[str, Scalar]
#: (type, days ago, parameters, lines)
Deed = tuple[str, float, Mapping[str, Scalar], tuple[Line, ...]]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody first heard of `since` days ago. `reachable` names channels."""

    deeds: tuple[Deed, ...] = ()
    since: float = 400
    known: bool = True
    reachable: tuple[str, ...] = ()
    attributes: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scene:
    """`inside` is in, nobody of `outside` is; `also` are in by what another source tells; `others` are there so that
    there is something to compare with. Products: (id, days ago, fields from then on)."""

    inside: Person
    outside: tuple[Person, ...]
    others: tuple[Person, ...] = ()
    products: tuple[tuple[str, float, Mapping[str, Scalar]], ...] = ()
    parameters: Mapping[str, Scalar] = field(default_factory=dict)
    also: tuple[Person, ...] = ()

    def batch(self) -> FactBatch:
        """Everything as one entry of unification's log; `inside` is contact 0, then `outside`, `also`, `others`."""
        facts: list[ContactFact] = []
        builder, owners = EventColumnsBuilder(), []
        for product, days, fields in self.products:
            facts.append(ProductState(product, fields, _ago(days), 0))
        for number, person in enumerate((self.inside, *self.outside, *self.also, *self.others)):
            bits = sum(1 << CHANNELS.index(channel) for channel in person.reachable)
            facts.append(ContactState(number, f"c{number}", person.known, bits, _ago(person.since), 0))
            for name, value in person.attributes.items():
                facts.append(AttributeWrite(number, name, value, _ago(person.since), False, 0))
            for place, (kind, days, params, lines) in enumerate(person.deeds):
                at_us = _ago(days)
                builder.add(Event(f"e{number}-{place}", kind, at_us, at_us, params=params, items=lines))
                owners.append(number)
        contacts = np.array(owners, np.uint32)
        return FactBatch(1, NOW_US, replace(builder.build(), contacts=contacts), tuple(facts))


def _ago(days: float) -> int:
    return NOW_US - round(days * DAY_US)


# --- words for facts ----------------------------------------------------------------------------------------------


def did(type_: str, days: float, *lines: Line, **params: Scalar) -> Deed:
    return type_, days, params, lines


def order(days: float, total: str = "100", *lines: Line, **params: Scalar) -> Deed:
    return did("order_completed", days, *lines, total=parse_decimal(total), order_id=f"o{days}", **params)


def viewed(days: float, product: str = "p1", **params: Scalar) -> Deed:
    return did("product_viewed", days, product_id=product, **params)


def wished(days: float, **params: Scalar) -> Deed:
    return did("wishlist_added", days, product_id="p1", **params)


def message(verb: str, days: float, number: int = 1, **params: Scalar) -> Deed:
    return did(f"message_{verb}", days, message_id=f"m{number}", **{"kind": "promo", "channel": "email", **params})


def person(*deeds: Deed, since: float = 400, **attributes: Value) -> Person:
    return Person(deeds, since, attributes=attributes)


def scene(inside: Person, *outside: Person, **more: Scalar) -> Scene:
    return Scene(inside, outside, parameters=more)


def ranked(step: int) -> Person:
    """Of five: the step-th best in how lately, how often and for how much it bought."""
    return person(*(order(50 - 10 * step + 0.1 * n, str(100 + 100 * step)) for n in range(step + 1)))


def opened(*days: float) -> Person:
    return person(*(message("opened", day, number) for number, day in enumerate(days)))


def bought(*days: float) -> Person:
    return person(*(order(day) for day in days))


def child(age: int) -> Mapping[str, Scalar]:
    return {"name": "Max", "age": age}


def product(days: float, **fields: Scalar) -> tuple[str, float, Mapping[str, Scalar]]:
    return "p1", days, fields


COFFEE, TEA = {"category": "coffee"}, {"category": "tea"}
P1, P2 = {"product_id": "p1"}, {"product_id": "p2"}
_HUNDRED = parse_decimal("100")
_YOUNG: Mapping[str, Value] = {"gender": "female", "age": 25}

# --- one scene per template ---------------------------------------------------------------------------------------

SCENES: Mapping[str, Scene] = {
    "VIP": Scene(ranked(4), (ranked(2), ranked(0)), (ranked(1), ranked(3))),
    "newcomers": Scene(bought(1), (bought(100),), (bought(20, 21), bought(30, 31), bought(40, 41))),
    "regulars": Scene(ranked(2), (ranked(0), ranked(1)), (ranked(3), ranked(4))),
    "at risk": Scene(
        bought(40, 41, 42, 43), (bought(10, 11), bought(60)), (bought(20), bought(30)),
    ),
    "lost buyers": Scene(ranked(0), (ranked(4), person()), (ranked(1), ranked(2), ranked(3))),
    "slipping away": Scene(
        bought(31, 32, 33, 34), (bought(5, 60),), (bought(10, 70), bought(15, 80), bought(90)),
    ),
    "top spenders": scene(person(order(300, "1000")), person(order(3, "10")), person(order(400, "5000"))),
    "average check VIP": scene(person(order(5, "200")), person(order(5, "50"))),
    "valuable and cooling": Scene(
        person(order(100, "1000"), *(did("site_visited", day) for day in (5, 6, 40, 41, 42, 43))),
        (person(order(100, "1000"), *(did("site_visited", day) for day in (5, 6, 7, 40, 41, 42, 43))),),
        (person(order(100, "10")),),
        also=(person(order(100, "1000"), *(did("page_viewed", day) for day in (5, 40, 41))),),
    ),
    "never bought": scene(person(since=40), person(since=5), person(order(20), since=40)),
    "first purchase": scene(bought(3), bought(3, 100), bought(8)),
    "one-time buyers": scene(bought(200), bought(200, 3)),
    "second purchase due": scene(bought(45), bought(45, 5), bought(10)),
    "every month": scene(bought(15, 45, 75), bought(15, 45), bought(5, 15, 45)),
    "stopped buying": scene(bought(60), bought(60, 5), bought(200)),
    "came back": scene(bought(5, 200), bought(5, 60, 200), bought(5)),
    "lost customers": scene(bought(200), bought(200, 10), person(since=5)),
    "promo code hunters": scene(
        person(order(50), order(5, promo_code="HALF")), person(order(5), order(50, promo_code="HALF")),
    ),
    "full price buyers": scene(bought(50), person(order(50), order(60, promo_code="HALF")), person()),
    "store buyers": scene(
        person(order(5, channel="store"), order(9, channel="web")),
        person(order(9, channel="store"), order(5, channel="web")),
    ),
    "returned an order": scene(person(did("order_refunded", 5)), person(did("order_refunded", 50))),
    "weekend buyers": scene(bought(1, 7), bought(1, 4), bought(92, 99)),
    "replenishment": scene(
        person(order(30, "1", COFFEE)), person(order(30, "1", COFFEE), order(5, "1", COFFEE)),
        person(order(30, "1", TEA)), category="coffee",
    ),
    "abandoned view": scene(person(viewed(0.5)), person(viewed(0.5), order(0.2)), person(viewed(2))),
    "abandoned cart": Scene(
        person(did("cart_updated", 1), order(0.9)), (person(did("cart_updated", 1), order(0.98)), person()),
        also=(person(did("product_added_to_cart", 1)),),
    ),
    "abandoned checkout": scene(
        person(did("checkout_started", 0.5)), person(did("checkout_started", 0.5), order(0.48)),
    ),
    "same product again": scene(person(viewed(0.5), viewed(0.2)), person(viewed(0.5), viewed(0.2, "p2"))),
    "viewed, put in the cart, left": Scene(
        person(viewed(10), did("cart_updated", 9.5, P1), order(9.2, "1", P2)),
        (
            person(viewed(10), did("cart_updated", 9.5, P1), order(9.2, "1", P1)),
            person(viewed(10), did("cart_updated", 9.5, P2)),
        ),
        also=(person(viewed(10), did("product_added_to_cart", 9.5, **P1)),),
    ),
    "searched in vain": scene(
        person(did("products_searched", 2, found=False)), person(did("products_searched", 2, found=True)),
    ),
    "section lookers": scene(
        person(viewed(5, category="tea"), order(4, "1", COFFEE)), person(viewed(5, category="tea"), order(4, "1", TEA)),
        person(viewed(5, category="coffee")), section="tea",
    ),
    "fond of a category": scene(
        person(viewed(1, category="tea"), order(2, "1", TEA)), person(viewed(1, category="tea"), order(90, "1", TEA)),
        person(viewed(1, category="coffee"), order(2, "1", COFFEE)), person(*(viewed(1, category="tea") for _ in "ab")),
        category="tea",
    ),
    "favourite category": scene(
        person(viewed(1, category="tea"), viewed(60, category="coffee")), person(viewed(1, category="coffee")),
        person(viewed(1, category="tea"), order(2, "1", COFFEE)), person(), category="tea",
    ),
    "more views": scene(
        person(*map(viewed, (20, 21, 1, 2, 3))), person(*map(viewed, (20, 21, 1, 2))), person(*map(viewed, (1, 2, 3))),
    ),
    "back in stock": Scene(
        person(viewed(5)), (person(viewed(1)), person(viewed(50))), products=(product(9, stock=0), product(2, stock=7)),
    ),
    "wish on promotion": Scene(
        person(wished(50)), (person(wished(100)), person(viewed(5))),
        products=(product(60, stock=9, price=_HUNDRED, sale_price=parse_decimal("80")),),
    ),
    "wish got cheaper": Scene(
        person(wished(50, price=_HUNDRED)), (person(wished(50, price=parse_decimal("99.99"))),),
        products=(product(10, stock=9, price=parse_decimal("90")),),
    ),
    "last one in the cart": Scene(
        person(did("cart_updated", 2, P1)), (person(did("cart_updated", 9, P1)), person(did("cart_updated", 2, P2))),
        products=(product(10, stock=5), product(1, stock=1)),
        also=(person(did("product_added_to_cart", 2, **P1)),),
    ),
    "sleeping half a year": scene(
        Person((message("sent", 50),), since=200, attributes=_YOUNG),
        Person((message("sent", 50), message("opened", 10)), since=200, attributes=_YOUNG),
        Person((message("sent", 10),), since=20, attributes=_YOUNG),
    ),
    "silent readers": scene(
        opened(1, 2, 3), opened(1, 2), person(*opened(1, 2, 3).deeds, message("clicked", 1, 1)),
    ),
    "only triggers": scene(
        person(message("opened", 5, 1, kind="trigger")),
        person(message("opened", 5, 1, kind="trigger"), message("opened", 300, 2, kind="promo")),
    ),
    "night readers": scene(
        person(message("sent", 2.5, time_zone="UTC"), message("opened", 2.1)),
        person(message("sent", 2.0, time_zone="UTC"), message("opened", 1.5)),
    ),
    "too many letters": scene(
        person(*(message("sent", 9, number) for number in range(10))),
        person(*(message("sent", 9, number) for number in range(9))),
        person(*(message("sent", 9, number) for number in range(10)), message("clicked", 8)),
    ),
    "engaged became sleeping": Scene(
        opened(31, 32, 33, 34), (opened(5, 60),), (opened(10, 70), opened(15, 80), opened(90)),
    ),
    "clicked a sale": scene(
        person(message("clicked", 5, link="https://shop.example/sale/tea")),
        person(message("clicked", 5, link="https://shop.example/tea")),
    ),
    "bounced addresses": scene(
        person(message("bounced", 5)), person(message("bounced", 5), message("opened", 3, 2)),
    ),
    "birthday soon": scene(
        person(birth_date=date(1990, 11, 4)), person(birth_date=date(1990, 12, 20)), person(),
    ),
    "children starting school": scene(
        person(children=(child(6),)), person(children=(child(12),)), person(),
    ),
    "gold members": scene(person(loyalty_tags=("tea", "gold")), person(loyalty_tags=("silver",))),
    "new contacts": scene(person(since=0.2), person(since=5)),
    "first purchase last month": scene(bought(15, 5), bought(15, 45), bought(0.2)),
    "quiet for a quarter": scene(
        person(viewed(95), since=100), person(viewed(10), since=100), person(since=20),
    ),
    "unhappy": scene(person(did("survey_answered", 5, score=6)), person(did("survey_answered", 5, score=7))),
    "reachable by push only": scene(
        Person(reachable=("web_push",)), Person(reachable=("web_push", "email")), Person(),
    ),
    "curious visitors": scene(
        Person((viewed(1), viewed(2), viewed(3)), known=False), person(viewed(1), viewed(2), viewed(3)),
        Person((viewed(1), viewed(2)), known=False),
    ),
}  # fmt: skip
