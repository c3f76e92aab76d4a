"""Conditions on the product of an event."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from core.query.ast import Compare, EventCount, EventSelection, ProductCondition, Stock
from core.query.execute import leaf
from core.query.execute_context import Context
from core.query.names import Setting
from core.schema import DecimalUnits
from tests.unit.index.small_world import SmallWorld, members, operands, units

NOW = 100
SEED = 3
VIEWED = "product_viewed"


def did(*conditions: ProductCondition, event: str = VIEWED) -> EventCount:
    return EventCount(EventSelection((event,), products=conditions), Compare.GE, operands(1))


def now(state: Stock) -> ProductCondition:
    return ProductCondition(state)


def test_states_now_and_at_the_event() -> None:
    world = SmallWorld().contacts(*range(8))
    for contact, (then, later) in enumerate(((0, 7), (1, 0), (5, 1), (6, 5), (-1, 6))):
        world.product(f"p{contact}", 10, stock=then).product(f"p{contact}", 50, stock=later)
        world.event(contact, VIEWED, 20, {"product_id": f"p{contact}"})
    world.product("deleted", 10, stock=3).product("deleted", 50).event(5, VIEWED, 20, {"product_id": "deleted"})
    world.product("unknown stock", 10, price=1, sale_price=0).event(6, VIEWED, 20, {"product_id": "unknown stock"})
    world.product("future", NOW + 1, stock=3).event(7, VIEWED, 20, {"product_id": "future"}).event(7, VIEWED, 20)
    root = world.root()
    for state, as_now, at_event in (
        (Stock.IN_STOCK, {0, 2, 3, 4}, {1, 2, 3, 5}),
        (Stock.OUT_OF_STOCK, {1}, {0, 4}),
        (Stock.LOW, {2, 3}, {1, 2, 5}),
        (Stock.LAST_ITEM, {2}, {1}),
        (Stock.ON_PROMOTION, set(), set()),
    ):
        assert members(root, did(now(state)), NOW) == as_now, state
        assert members(root, did(ProductCondition(state, at_event=True)), NOW) == at_event, state
    assert members(root, did(now(Stock.IN_STOCK)), NOW + 1) == {0, 2, 3, 4, 7}
    assert members(root, did(now(Stock.IN_STOCK), ProductCondition(Stock.OUT_OF_STOCK, at_event=True)), NOW) == {0, 4}
    context = Context(root, NOW, "UTC", setting=Setting(low_stock=7))
    assert set(leaf(did(now(Stock.LOW)), context).within(root.exists(NOW))) == {0, 2, 3, 4}


def test_a_product_that_is_available_without_a_number_is_neither_low_nor_the_last() -> None:
    world = SmallWorld().contacts(*range(5))
    fields: list[dict[str, Any]] = [
        {"available": True},
        {"available": False},
        {"available": True, "stock": 9, "low_stock": 10},
        {"available": True, "stock": 3, "low_stock": 2},
        {"available": True, "stock": 0},
    ]
    for contact, one in enumerate(fields):
        world.product(f"p{contact}", 10, **one).event(contact, VIEWED, 20, {"product_id": f"p{contact}"})
    root = world.root()
    assert members(root, did(now(Stock.IN_STOCK)), NOW) == {0, 2, 3}
    assert members(root, did(now(Stock.OUT_OF_STOCK)), NOW) == {1, 4}
    assert members(root, did(now(Stock.LOW)), NOW) == {2}, "the limit that the product was told with counts"
    assert members(root, did(now(Stock.LAST_ITEM)), NOW) == set()


def test_all_conditions_hold_on_one_line() -> None:
    world = SmallWorld().contacts(0, 1, 2, 3, 4)
    world.product("in", stock=3, price=5).product("sale", stock=0, price=5, sale_price=4)
    world.product("both", stock=3, price=5, sale_price=4)
    order = "order_completed"
    world.event(0, order, 1, {}, ({"product_id": "in"}, {"product_id": "sale"}))
    world.event(1, order, 1, {}, ({"product_id": "in"}, {"product_id": "both"}))
    world.event(2, order, 1, {"product_id": "both"})
    world.event(3, order, 1, {"product_id": "both"}, ({"product_id": "in"},))
    world.event(4, order, 1, {"product_id": "both"}, ({"sku": "in"},))
    asked = did(now(Stock.IN_STOCK), now(Stock.ON_PROMOTION), event=order)
    assert members(world.root(), asked, NOW) == {1, 2, 4}


@pytest.mark.parametrize(
    ("event", "fields", "percent", "expected"),
    [
        ({"price": units("100")}, {"price": units("90")}, "10", True),
        ({"price": units("100")}, {"price": units("90.0001")}, "10", False),
        ({"price": 100}, {"price": 120, "sale_price": 89}, "10", True),
        ({"price": 100}, {"price": 80, "sale_price": 0}, "10", True),
        ({"price": 100}, {"price": 100, "sale_price": 0}, "10", False),
        ({"price": 100}, {"price": 50, "sale_price": 60}, "50", True),
        ({"price": 100}, {"sale_price": 60}, "10", False),
        ({}, {"price": 1}, "10", False),
        ({"price": "cheap"}, {"price": 1}, "10", False),
        ({"price": DecimalUnits(9 * 10**18)}, {"price": DecimalUnits(9 * 10**18 - 1)}, "0", True),
        ({"price": DecimalUnits(9 * 10**18)}, {"price": DecimalUnits(81 * 10**17)}, "10", True),
        ({"price": DecimalUnits(9 * 10**18)}, {"price": DecimalUnits(81 * 10**17 + 1)}, "10", False),
        ({"price": 2**63 - 1}, {"price": 1}, "10", False),
    ],
)
def test_prices_that_dropped(event: Mapping[str, Any], fields: Mapping[str, Any], percent: str, expected: bool) -> None:
    world = SmallWorld().contacts(0).product("p", stock=0, **fields).event(0, VIEWED, 1, {"product_id": "p", **event})
    asked = did(ProductCondition(price_drop=units(percent)))
    assert members(world.root(), asked, NOW) == ({0} if expected else set())
    stockless = SmallWorld().contacts(0).product("p", **fields).event(0, VIEWED, 1, {"product_id": "p", **event})
    assert members(stockless.root(), asked, NOW) == set()


def test_random_worlds_event_by_event() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    separated = 0
    for _ in range(30):
        world = SmallWorld().contacts(*range(12))
        feed: dict[str, dict[int, dict[str, int]]] = {}
        for _ in range(rng.randrange(30)):
            product, at_us = rng.choice("abcd"), rng.randrange(0, 130, 10)
            fields = {name: rng.randrange(4) for name in ("stock", "price", "sale_price") if rng.random() < 0.8}
            feed.setdefault(product, {})[at_us] = fields
            world.product(product, at_us, **fields)
        events: list[tuple[int, int, dict[str, Any], tuple[dict[str, Any], ...]]] = []
        for _ in range(30):
            lines = tuple(subject(rng) if rng.random() < 0.8 else {"price": 1} for _ in range(rng.choice((0, 0, 1, 2))))
            params = subject(rng) if rng.random() < 0.8 else {}
            events.append((rng.randrange(12), rng.randrange(0, 100, 7), params, lines))
            world.event(events[-1][0], VIEWED, *events[-1][1:])
        root = world.root(rng.choice((5, 1000)), root_each=True)
        for _ in range(10):
            asked = tuple(random_condition(rng) for _ in range(rng.choice((1, 1, 2))))
            expected = {
                contact
                for contact, at_us, params, lines in events
                if any(
                    all(holds(one, product, at_us, feed) for one in asked)
                    for product in ([line for line in lines if "product_id" in line] or [params])
                )
            }
            assert members(root, did(*asked), NOW) == expected, asked
            separated += 0 < len(expected) < 12
    assert separated > 100


def subject(rng: random.Random) -> dict[str, Any]:
    return {"product_id": rng.choice("abcde"), "price": rng.randrange(5)}


def random_condition(rng: random.Random) -> ProductCondition:
    if rng.random() < 0.3:
        return ProductCondition(price_drop=DecimalUnits(rng.choice((0, 250_000, 333_333, 500_000))))
    return ProductCondition(rng.choice(list(Stock)), at_event=rng.random() < 0.5)


def holds(
    condition: ProductCondition, product: Mapping[str, Any], at_us: int, feed: Mapping[str, Mapping[int, Any]]
) -> bool:
    """The condition on one product of one event, from the feed as a dict."""
    history = feed.get(product.get("product_id", ""), {})
    past = [at for at in history if at <= (at_us if condition.at_event else NOW)]
    fields = history[max(past)] if past else {}
    if "stock" not in fields:
        return False
    stock, price, sale = fields["stock"], fields.get("price"), fields.get("sale_price")
    match condition.state:
        case Stock.IN_STOCK:
            return bool(stock > 0)
        case Stock.OUT_OF_STOCK:
            return bool(stock <= 0)
        case Stock.LOW:
            return bool(0 < stock <= 5)
        case Stock.LAST_ITEM:
            return bool(stock == 1)
        case Stock.ON_PROMOTION:
            return bool(sale is not None and price is not None and sale < price)
        case None:
            assert condition.price_drop is not None
            if price is None or "price" not in product:
                return False
            costs = sale if sale is not None and 0 < sale < price else price
            percent = Fraction(condition.price_drop.units, 10_000)
            return bool(100 * (product["price"] - costs) >= percent * product["price"])


def test_many_products_are_looked_up_once_each() -> None:
    """Enough events that the states are found through a table over all products."""
    world = SmallWorld().contacts(*range(50))
    for number in range(20):
        world.product(f"p{number}", stock=number % 3)
    for contact in range(50):
        for number in range(20):
            if (contact + number) % 7 == 0:
                world.event(contact, VIEWED, 5, {"product_id": f"p{number}"})
    expected = {c for c in range(50) if any((c + n) % 7 == 0 and n % 3 == 1 for n in range(20))}
    root = world.root()
    found = leaf(did(now(Stock.LAST_ITEM)), Context(root, NOW, "UTC")).within(root.exists(NOW))
    assert set(found) == expected
    some = np.array([1, 2, 3], np.uint32)
    few = leaf(did(now(Stock.LAST_ITEM)), Context(root, NOW, "UTC", some)).within(root.exists(NOW, some))
    assert set(few) == expected & {1, 2, 3}
    negative = replace(did(now(Stock.LAST_ITEM)), compare=Compare.EQ, counts=operands(0))
    assert members(root, negative, NOW) == set(range(50)) - expected
