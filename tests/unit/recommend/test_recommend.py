"""Lists of products on small shops, by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.clock import DAY_US
from core.query.execute_context import Context
from core.recommend.asked import Entry
from core.recommend.counts import Sources, counted
from core.recommend.goods import Good
from core.recommend.recommend import Block, recommend
from core.recommend.together import MOST_IN_BASKET, together
from core.schema import DecimalUnits
from tests.unit.index.small_world import SmallWorld

NOW = 20_000 * DAY_US


def shop(*products: str, category: str = "things") -> SmallWorld:
    """Contacts 0 to 9, and products in stock at 10.00."""
    world = SmallWorld().contacts(*range(10))
    for product in products:
        world.product(product, name=product.upper(), price=DecimalUnits(100_000), stock=5, category=category)
    return world


def shown(world: SmallWorld, block: Block, contact: int = 0, *products: str, most: int = 10) -> list[Good]:
    everyone = Context(world.root(), NOW, "UTC")
    found = recommend([Entry(contact, products)], [block], most, everyone, counted(everyone))
    return [found.goods[place] for place in found.blocks[0][0]]


def ids(goods: Sequence[Good]) -> list[str]:
    return [good.product_id for good in goods]


def views(world: SmallWorld, contact: int, *products: str, at_us: int = NOW - DAY_US) -> None:
    for product in products:
        world.event(contact, "product_viewed", at_us, {"product_id": product})


def order(world: SmallWorld, contact: int, *products: str, at_us: int = NOW - DAY_US) -> None:
    world.event(contact, "order_completed", at_us, {}, tuple({"product_id": product} for product in products))


def test_an_empty_shop_shows_nothing() -> None:
    world = SmallWorld().contacts(0)
    for block in Block:
        assert shown(world, block) == []
    everyone = Context(world.root(), NOW, "UTC")
    assert recommend([], list(Block), 5, everyone, counted(everyone)).goods == ()


def test_fields_are_those_of_the_catalogue_now() -> None:
    world = shop("tea", category="drinks")
    world.product("tea", NOW - 5, name="Tea", price=DecimalUnits(90_000), sale_price=DecimalUnits(80_000), stock=2,
                  url="https://shop.example/tea", gtin="123")  # fmt: skip
    world.product("tea", NOW + 1)
    views(world, 0, "tea")
    (tea,) = shown(world, Block.VIEWED)
    assert tea.fields == {
        "name": "Tea",
        "price": DecimalUnits(90_000),
        "sale_price": DecimalUnits(80_000),
        "stock": 2,
        "url": "https://shop.example/tea",
    }


def test_a_sale_price_is_shown_only_below_the_price() -> None:
    world = shop("tea")
    world.product("tea", 5, price=DecimalUnits(90_000), sale_price=DecimalUnits(90_000))
    world.product("cup", 5, sale_price=DecimalUnits(90_000), stock=1)
    views(world, 0, "tea", "cup")
    assert [dict(good.fields) for good in shown(world, Block.VIEWED)] == [
        {"stock": 1},
        {"price": DecimalUnits(90_000)},
    ]


def test_a_product_without_catalogue_is_shown_as_its_latest_event_said() -> None:
    world = SmallWorld().contacts(0)
    for at_us, name in ((3, "Old"), (9, "New"), (5, "Middle")):
        fields = {"product_id": "x", "name": name, "price": DecimalUnits(at_us), "quantity": 4}
        world.event(0, "product_viewed", at_us, {**fields, "url": f"https://shop.example/{name}"})
        world.event(0, "cart_updated", at_us + 100, {"total": DecimalUnits(1)}, (fields,))
    (viewed,), (carried,) = shown(world, Block.VIEWED), shown(world, Block.CART)
    assert viewed.fields == {"name": "New", "price": DecimalUnits(9), "url": "https://shop.example/New"}
    assert carried.fields == {"name": "New", "price": DecimalUnits(9)}


def test_what_is_gone_is_not_shown() -> None:
    world = shop("tea", "cup")
    world.product("tea", NOW - 1)
    world.product("cup", NOW - 1, stock=0)
    views(world, 0, "tea", "cup", "unheard")
    assert ids(shown(world, Block.VIEWED)) == ["unheard"]


def test_an_empty_cart_and_an_order_empty_the_cart() -> None:
    world = shop("tea", "cup")
    world.event(0, "product_added_to_cart", 10, {"product_id": "tea"})
    world.event(0, "cart_updated", 20, {}, ({"product_id": "tea"}, {"product_id": "cup"}))
    assert ids(shown(world, Block.CART)) == ["cup", "tea"]
    order(world, 0, "tea", at_us=30)
    assert ids(shown(world, Block.CART)) == ["cup"]
    world.event(0, "product_added_to_cart", 40, {"product_id": "tea"})
    assert ids(shown(world, Block.CART)) == ["tea", "cup"]
    world.event(0, "cart_updated", 50)
    assert shown(world, Block.CART) == []


def test_what_is_bought_together_is_an_accessory_and_what_is_viewed_together_an_analogue() -> None:
    world = shop("tea", "herbs", "dear", category="drinks")
    world.product("dear", 5, price=DecimalUnits(131_000), stock=1, category="drinks")
    world.product("cup", price=DecimalUnits(1), stock=1, category="cups")
    for contact in range(1, 5):
        order(world, contact, "tea", "cup")
        order(world, contact, "tea", "herbs")
        views(world, contact, "tea", "herbs", "dear")
    for contact in range(5, 9):
        order(world, contact, "other")
        views(world, contact, "other", at_us=NOW - 2 * DAY_US)
    assert ids(shown(world, Block.ACCESSORIES, 0, "tea")) == ["cup"]
    assert ids(shown(world, Block.ANALOGUES, 0, "tea")) == ["herbs"], "the dear one is 31 % dearer"
    views(world, 0, "tea")
    assert ids(shown(world, Block.ACCESSORIES)) == ["cup"], "about what was viewed last"
    assert ids(shown(world, Block.ANALOGUES, 0, "nobody has heard of it")) == []
    order(world, 0, "cup")
    assert shown(world, Block.ACCESSORIES) == []


def test_merged_contacts_are_one() -> None:
    world = shop("tea", "cup")
    views(world, 0, "tea")
    views(world, 1, "cup", at_us=NOW - 5)
    world.merge(0, 1)
    assert ids(shown(world, Block.VIEWED)) == ["cup", "tea"]
    order(world, 2, "cup")
    world.merge(0, 2)
    assert ids(shown(world, Block.VIEWED)) == ["tea"]


def test_one_contact_may_be_asked_about_several_products() -> None:
    world = shop("tea", "herbs", category="drinks")
    world.product("cup", price=DecimalUnits(100_000), stock=1, category="cups")
    world.product("mug", price=DecimalUnits(100_000), stock=1, category="cups")
    everyone = Context(world.root(), NOW, "UTC")
    entries = [Entry(3, ("tea",)), Entry(1), Entry(3, ("cup", "tea"))]
    found = recommend(entries, [Block.ANALOGUES, Block.CART], 5, everyone, counted(everyone))
    named = [[ids([found.goods[place] for place in places]) for places in lists] for lists in found.blocks]
    assert named == [[["herbs"], []], [[], []], [["herbs", "mug"], []]]


def test_of_too_many_events_the_oldest_days_are_not_counted() -> None:
    world = shop("old", "older", "new", "newer")
    for contact in range(6):
        views(world, contact, "old", "older", at_us=NOW - 3 * DAY_US)
        views(world, contact, "new" if contact < 3 else "other", "newer" if contact < 3 else "another")
    everyone = Context(world.root(), NOW, "UTC")
    for most, products in (
        (24, {"old", "older", "new", "newer", "other", "another"}),
        (23, {"new", "newer", "other", "another"}),
    ):
        counts = counted(everyone, most)
        going = counts.codes[np.diff(counts.viewed.offsets) > 0].tolist()
        assert {everyone.root.dictionary.text(code) for code in going} == products


def test_counts_are_made_anew_only_of_other_facts() -> None:
    world = shop("tea")
    views(world, 0, "tea")
    index = world.index()
    before = Sources.of(index.root())
    assert Sources.of(index.root()).same_as(before)
    more = shop("tea")
    views(more, 0, "tea")
    views(more, 1, "tea")
    assert not Sources.of(more.root()).same_as(before)


def test_a_large_basket_says_nothing_and_the_order_of_rows_neither() -> None:
    random = np.random.default_rng(7)
    large = np.arange(MOST_IN_BASKET + 1)
    baskets = np.concatenate((np.zeros(len(large), np.int64), random.integers(1, 200, 900)))
    products = np.concatenate((large, random.integers(0, 60, 900)))
    found = together(baskets, products, 60)
    alone = together(baskets[len(large) :], products[len(large) :], 60)
    shuffled = random.permutation(len(baskets))
    again = together(baskets[shuffled], products[shuffled], 60)
    for other in (alone, again):
        for mine, theirs in ((found.offsets, other.offsets), (found.others, other.others), (found.units, other.units)):
            assert np.array_equal(mine, theirs)
    assert len(found.others) > 0
