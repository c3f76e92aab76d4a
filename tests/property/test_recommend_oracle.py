"""Recommendations against the same sentences written down for one contact, one event and one pair at a time."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from core.events.columns import MACHINE
from core.query.execute_context import Context
from core.recommend.asked import Entry
from core.recommend.counts import counted
from core.recommend.recommend import Block, recommend
from core.schema import DecimalUnits
from tests.oracle.recommend import DAY, Plain, Shop
from tests.unit.index.small_world import SmallWorld

AS_OF = 20_000 * DAY + 5
#: Letters of one, two and three bytes, so that the order of bytes is not that of anything else; "unheard" has no state.
PRODUCTS = [f"{letter}{number}" for letter in ("a", "Z", "é", "中") for number in range(6)] + ["unheard"]
CATEGORIES = ("tea", "cups", "Äpfel", None)
TYPES = (
    *(("product_viewed",) * 8),
    *("product_added_to_cart", "product_removed_from_cart", "cart_updated", "cart_viewed", "checkout_started"),
    *("wishlist_added", "wishlist_added", "wishlist_removed", "order_created"),
    *(("order_completed",) * 5),
)
BLOCKS = list(Block)


class Drawn:
    """A random shop, as facts for the engine and as plain ones for the oracle."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.world = SmallWorld()
        self.events: list[Plain] = []
        self.states: list[Plain] = []
        self.contacts = random.randint(1, 12)
        self.world.contacts(*range(self.contacts), at_us=0)
        #: Few instants, so that many facts share one.
        self.instants = [AS_OF - random.choice((0, 1, DAY, DAY // 2, 31 * DAY, 91 * DAY, 400 * DAY)) for _ in range(6)]
        self.instants += [AS_OF - random.randrange(40 * DAY) for _ in range(20)]
        for product in PRODUCTS[:-1]:
            for _ in range(random.choice((0, 1, 1, 1, 2))):
                self.state(product)
        for _ in range(random.choice((0, 20, 150, 400))):
            self.event()

    def state(self, product: str) -> None:
        random = self.random
        fields: Plain = {}
        if random.random() < 0.9:
            fields = {"name": f"Name of {product}", "price": random.choice((10, 13, 14, 19, 20, 26)) * 10_000}
            fields |= {"stock": random.choice((0, 1, 5, 5, 5))} if random.random() < 0.7 else {"available": True}
            if (category := random.choice(CATEGORIES)) is not None:
                fields["category"] = category
            if random.random() < 0.3:
                fields["sale_price"] = random.choice((9, 13, 30)) * 10_000
            if random.random() < 0.1:
                fields = {name: value for name, value in fields.items() if name not in ("price", "stock", "available")}
        at = random.choice((*self.instants, AS_OF + 1, 5 * DAY))
        self.states.append({"product": product, "at": at, "fields": fields})
        told: Any = {
            name: DecimalUnits(value) if name in ("price", "sale_price") else value for name, value in fields.items()
        }
        self.world.product(product, at, **told)

    def event(self) -> None:
        random = self.random
        contact, event_type = random.randrange(self.contacts), random.choice(TYPES)
        at = random.choice((*self.instants, AS_OF + DAY)) if random.random() < 0.97 else AS_OF + 1
        lines = [self.line() for _ in range(random.choice((0, 1, 2, 3)))]
        alone = event_type.startswith(("product_", "wishlist_")) and random.random() < 0.95
        own = self.line() if alone else {"product": None, "category": None}
        if alone and random.random() < 0.9:
            lines = []
        event = {"contact": contact, "type": event_type, "at": at, "machine": random.random() < 0.05, "lines": lines}
        self.events.append({**event, **own})
        self.world.event(
            contact, event_type, at, params(own), tuple(map(params, lines)), flags=MACHINE if event["machine"] else 0
        )

    def line(self) -> Plain:
        # The first products are the popular ones, so that some pairs meet often.
        weights = [3 if number < 8 else 1 for number in range(len(PRODUCTS))]
        product = self.random.choices((*PRODUCTS, None), (*weights, 1))[0]
        return {"product": product, "category": self.random.choice(CATEGORIES)}


def params(line: Plain) -> dict[str, str]:
    named = {"product_id": line["product"], "category": line["category"]}
    return {name: value for name, value in named.items() if value is not None}


@pytest.mark.parametrize("seed", range(60))
def test_as_the_sentences_say(seed: int) -> None:
    print(f"seed {seed}")
    random = Random(seed)
    drawn = Drawn(random)
    root = drawn.world.root(random.choice((7, 60, 10**9)), root_each=True)
    shop = Shop(drawn.events, drawn.states, AS_OF)
    everyone = Context(root, AS_OF, "UTC")
    entries = [
        Entry(contact, tuple(random.sample([*PRODUCTS, "nobody knows"], random.choice((0, 0, 1, 3)))))
        for contact in random.choices(range(drawn.contacts), k=8)
    ]
    most = random.choice((1, 3, 50))
    found = recommend(entries, BLOCKS, most, everyone, counted(everyone))
    for entry, lists in zip(entries, found.blocks, strict=True):
        for block, places in zip(BLOCKS, lists, strict=True):
            shown = [found.goods[place].product_id for place in places]
            expected = shop.block(block.value, entry.contact, list(entry.products), most)
            assert shown == expected, (entry, block)
    shown_ids = [good.product_id for good in found.goods]
    assert shown_ids == sorted(set(shown_ids), key=str.encode)
    assert {place for lists in found.blocks for places in lists for place in places} == set(range(len(shown_ids)))


def test_enough_happens_that_the_sentences_are_put_to_the_test() -> None:
    sizes = dict.fromkeys((block.value for block in BLOCKS), 0)
    pairs = 0
    for seed in range(60):
        drawn = Drawn(Random(seed))
        shop = Shop(drawn.events, drawn.states, AS_OF)
        pairs += len(shop.viewed_with) + len(shop.bought_with)
        for contact in range(drawn.contacts):
            for block in sizes:
                sizes[block] += len(shop.block(block, contact, PRODUCTS[:2], 50)) > 0
    assert pairs > 100, pairs
    assert min(sizes.values()) > 20, sizes
