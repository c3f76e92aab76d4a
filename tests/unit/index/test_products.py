"""The catalogue: what was known of a product at any instant, kept over merges of runs and snapshots."""

from __future__ import annotations

import random

import numpy as np
import pytest

from core.index.digest import digest
from core.index.index import Index
from core.index.product_view import ProductStates
from core.index.root import Root
from core.index.snapshot import decode, encode
from core.schema import DecimalUnits, Scalar
from tests.unit.index.small_world import SmallWorld, apply

SEED = 13


def states(root: Root, asked: list[tuple[str, int]]) -> list[tuple[int | None, int | None, int | None]]:
    """(stock, price, sale price) of each product and instant."""
    codes = [root.dictionary.code(product) for product, _ in asked]
    known = [place for place, code in enumerate(codes) if code is not None]
    found: ProductStates = root.products.states(
        np.array([codes[place] for place in known], np.uint32), np.array([asked[place][1] for place in known], np.int64)
    )
    result: list[tuple[int | None, int | None, int | None]] = [(None, None, None)] * len(asked)
    for row, place in enumerate(known):
        stock, price, sale = (
            int(some.values[row]) if some.present[row] else None
            for some in (found.stock, found.price, found.sale_price)
        )
        result[place] = (stock, price, sale)
    return result


def test_a_product_is_a_step_function_of_feed_time() -> None:
    world = SmallWorld().product("p", 10, stock=5, price=DecimalUnits(500)).product("p", 30)
    world.product("p", 20, stock=1, price=3, sale_price=DecimalUnits(7)).product("q", 0, stock="many", price=10**18)
    for batch in (1, 2, 10):
        root = world.root(batch, root_each=True)
        asked = [("p", 9), ("p", 10), ("p", 19), ("p", 20), ("p", 29), ("p", 30), ("q", 5), ("r", 5)]
        assert states(root, asked) == [
            *((None, None, None), (5, 500, None), (5, 500, None), (1, 30_000, 7), (1, 30_000, 7)),
            *((None, None, None), (None, None, None), (None, None, None)),
        ]
        assert root.product_edges(10, 30)[0] == ["p", "p"]
        assert root.product_edges(10, 30)[1].tolist() == [20, 30]
        assert root.product_edges(-1, 10)[0] == ["q", "p"]


def test_random_feeds_in_any_batching() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for _ in range(40):
        world = SmallWorld().contacts(0)
        kept: dict[str, dict[int, dict[str, Scalar]]] = {}
        for _ in range(rng.randrange(1, 40)):
            product, at_us = rng.choice("abc"), rng.randrange(12)
            fields: dict[str, Scalar] = {}
            if rng.random() < 0.8:
                fields = {"stock": rng.randrange(4), "price": DecimalUnits(rng.randrange(9)), "title": rng.choice("xy")}
            if fields and rng.random() < 0.5:
                fields["sale_price"] = rng.randrange(5)
            world.product(product, at_us, **fields)
            kept.setdefault(product, {})[at_us] = fields
        asked = [(product, at_us) for product in "abcd" for at_us in range(-1, 13)]
        expected = []
        for product, at_us in asked:
            past = [at for at in kept.get(product, {}) if at <= at_us]
            fields = kept[product][max(past)] if past else {}
            price, sale = fields.get("price"), fields.get("sale_price")
            expected.append(
                (
                    fields.get("stock"),
                    price.units if isinstance(price, DecimalUnits) else None,
                    sale * 10_000 if isinstance(sale, int) else None,
                )
            )
        index = world.index(rng.choice((1, 3, 100)), root_each=rng.random() < 0.5)
        assert states(index.root(), asked) == expected
        restored = decode(encode(index.root()))
        assert states(restored.root(), asked) == expected
        assert digest(restored.root()) == digest(index.root()) == digest(world.root())
        more = SmallWorld().product("a", 5, stock=99).product("d", 3, stock=1)
        for one in (index, restored):
            apply(one, more.log, 99)
        assert digest(restored.root()) == digest(index.root()) != digest(world.root())
        assert states(restored.root(), [("a", 5), ("d", 3)]) == [(99, None, None), (1, None, None)]


@pytest.mark.parametrize("count", [1, 20])
def test_who_has_events_with_a_product(count: int) -> None:
    world = SmallWorld().contacts(0, 1, 2, 3, 4)
    world.event(0, "product_viewed", 1, {"product_id": "p0"}).event(1, "product_viewed", 1, {"product_id": "other"})
    world.event(2, "order_completed", 1, {}, ({"product_id": "other"}, {"product_id": "p0"}))
    world.event(3, "order_completed", 1, {}, ({"sku": "p0"},)).event(4, "cart_updated", 1, {"product_id": "p0"})
    for number in range(1, count):
        world.event(1, "product_viewed", 2, {"product_id": f"x{number}"})
    root = world.root()
    products = ["p0", "unheard", *(f"p{number}" for number in range(1, count))]
    assert root.contacts_with_product(products, ["product_viewed", "order_completed"]).tolist() == [0, 2]
    assert root.contacts_with_product(products, ["cart_updated", "nothing"]).tolist() == [4]
    assert root.contacts_with_product(["unheard"], ["product_viewed"]).tolist() == []


def test_an_index_without_a_catalogue_has_none() -> None:
    root = Index().root()
    assert root.products.runs == ()
    assert root.product_edges(-10, 10)[0] == []
    assert "products" not in {section.name for section in encode(root)}
