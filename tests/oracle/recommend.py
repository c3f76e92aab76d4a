"""Products for contacts, event by event and pair by pair, as core/recommend/README.md defines them.

An event: {"contact", "type", "at", "machine", "product", "category", "lines": [{"product", "category"}]}, None where
there is none. A state of the catalogue: {"product", "at", "fields"} in log order, prices in units of 1e-4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import combinations
from typing import Any

from tests.oracle.interests import fading, units

Plain = dict[str, Any]
DAY = 86_400_000_000
_WEIGHTS = {"product_viewed": 1, "product_added_to_cart": 3, "wishlist_added": 3, "order_completed": 5}


def key(product: str) -> bytes:
    return product.encode()


def named(event: Plain) -> list[str]:
    """ "The products of an event itself, or of its lines where it has none of its own." """
    if event["product"] is not None:
        return [event["product"]]
    return [line["product"] for line in event["lines"] if line["product"] is not None]


class Shop:
    def __init__(self, events: Iterable[Plain], states: Iterable[Plain], as_of: int) -> None:
        self.as_of = as_of
        self.events = [one for one in events if one["at"] <= as_of and not one["machine"]]
        self.known: dict[str, Plain] = {}
        latest: dict[str, int] = {}
        self.listed = set[str]()
        for state in states:
            self.listed.add(state["product"])
            if state["at"] <= as_of and state["at"] >= latest.get(state["product"], -1):
                latest[state["product"]] = state["at"]
                self.known[state["product"]] = state["fields"]
        self._count()

    # --- the catalogue ----------------------------------------------------------------------------------------

    def stock(self, product: str) -> int | None:
        fields = self.known.get(product, {})
        if "stock" in fields:
            return int(fields["stock"])
        return {True: 1, False: 0}.get(fields.get("available"))  # type: ignore[arg-type]

    def in_stock(self, product: str) -> bool:
        return (self.stock(product) or 0) > 0

    def gone(self, product: str) -> bool:
        stock = self.stock(product)
        return (product in self.known and not self.known[product]) or (stock is not None and stock <= 0)

    def category(self, product: str) -> str | None:
        return self.known.get(product, {}).get("category")

    def to_pay(self, product: str) -> int | None:
        fields = self.known.get(product, {})
        price, sale = fields.get("price"), fields.get("sale_price")
        if price is None:
            return None
        return min(price, sale) if sale is not None else price  # type: ignore[no-any-return]

    # --- what all did -----------------------------------------------------------------------------------------

    def _count(self) -> None:
        counted = [one for one in self.events if one["type"] in ("product_viewed", "order_completed")]
        newest = max((one["at"] for one in counted), default=0)
        views = [one for one in counted if one["type"] == "product_viewed" and one["at"] >= newest - 90 * DAY]
        sales = [one for one in counted if one["type"] == "order_completed" and one["at"] >= newest - 365 * DAY]
        days: dict[tuple[int, int], set[str]] = {}
        for one in views:
            days.setdefault((one["contact"], one["at"] // DAY), set()).update(named(one))
        self.viewed_with = together([held for held in days.values() if held])
        self.bought_with = together([held for held in map(set, map(named, sales)) if held])
        liked: dict[str, list[set[int]]] = {}
        for which, some in enumerate((views, sales)):
            for one in some:
                if one["at"] > newest - 30 * DAY:
                    for product in named(one):
                        liked.setdefault(product, [set(), set()])[which].add(one["contact"])
        self.points = {product: len(viewers) + 5 * len(buyers) for product, (viewers, buyers) in liked.items()}
        every = self.listed | {product for one in (*views, *sales) for product in named(one)}
        self.counted = every
        self.best = sorted(filter(self.in_stock, every), key=lambda one: (-self.points.get(one, 0), key(one)))

    def best_of(self, category: str) -> list[str]:
        return [one for one in self.best if self.category(one) == category]

    # --- what one contact did ---------------------------------------------------------------------------------

    def latest(self, contact: int, *types: str) -> dict[str, int]:
        found: dict[str, int] = {}
        for one in self.events:
            if one["contact"] == contact and one["type"] in types:
                for product in named(one):
                    found[product] = max(found.get(product, -1), one["at"])
        return found

    def bought(self, contact: int) -> dict[str, int]:
        return self.latest(contact, "order_created", "order_completed")

    def cart(self, contact: int) -> dict[str, int]:
        whole = -1
        for one in self.events:
            if one["contact"] == contact:
                told = one["type"] == "cart_updated" or (
                    one["type"] in ("cart_viewed", "checkout_started") and named(one)
                )
                whole = max(whole, one["at"]) if told else whole
        added = self.latest(contact, "cart_updated", "cart_viewed", "checkout_started", "product_added_to_cart")
        removed = self.latest(contact, "product_removed_from_cart")
        ordered = self.bought(contact)
        return {
            product: at
            for product, at in added.items()
            if at >= whole and at >= removed.get(product, -1) and at > ordered.get(product, -1)
        }

    def wishlist(self, contact: int) -> dict[str, int]:
        removed, ordered = self.latest(contact, "wishlist_removed"), self.bought(contact)
        return {
            product: at
            for product, at in self.latest(contact, "wishlist_added").items()
            if at >= removed.get(product, -1) and at > ordered.get(product, -1)
        }

    def favourites(self, contact: int, most: int) -> list[str]:
        sums: Counter[str] = Counter()
        for one in self.events:
            weight = _WEIGHTS.get(one["type"])
            if one["contact"] != contact or weight is None:
                continue
            own = [one["category"]] if one["category"] is not None else [line["category"] for line in one["lines"]]
            for category in {text for text in own if text is not None}:
                sums[category] += weight * fading(self.as_of // DAY - one["at"] // DAY, 30)
        order = sorted(sums, key=lambda one: (-sums[one], key(one)))
        return [one for one in order if units(sums[one]) > 0][:most]

    # --- the blocks -------------------------------------------------------------------------------------------

    def block(self, block: str, contact: int, products: list[str], most: int) -> list[str]:
        viewed = newest_first(self.latest(contact, "product_viewed"))
        if block == "viewed":
            return [one for one in viewed if one not in self.bought(contact) and not self.gone(one)][:most]
        if block in ("cart", "wishlist"):
            held = self.cart(contact) if block == "cart" else self.wishlist(contact)
            return [one for one in newest_first(held) if not self.gone(one)][:most]
        questions = {one for one in (products or viewed[:3]) if one in self.counted}
        never = set(self.bought(contact)) | set(self.cart(contact)) | questions
        ranked: list[tuple[int, int, bytes, str]] = []

        def add(tier: int, scores: dict[str, int]) -> None:
            ranked.extend((tier, -score, key(one), one) for one, score in scores.items())

        if block == "recommended":
            seeds = questions | set(self._last(contact))
            never |= seeds
            add(0, added_up([kept.get(seed, {}) for kept in (self.viewed_with, self.bought_with) for seed in seeds]))
            for category in self.favourites(contact, 3):
                add(1, self._liked(self.best_of(category)[:100]))
            add(2, self._liked(self.best[:100]))
        elif block == "analogues":
            add(0, added_up([self._alike(seed, self.viewed_with.get(seed, {})) for seed in questions]))
            for seed in questions:
                own = self.category(seed)
                if own is not None:
                    add(1, self._alike(seed, self._liked(self.best_of(own)[:300])))
        elif block == "accessories":
            other = [
                {one: score for one, score in self.bought_with.get(seed, {}).items()
                 if self.category(one) != self.category(seed)}
                for seed in questions
            ]  # fmt: skip
            add(0, added_up(other))
        elif block == "favourite":
            for category in self.favourites(contact, 1):
                add(0, self._liked(self.best_of(category)[:100]))
        found: list[str] = []
        for *_, product in sorted(ranked):
            if product not in found and product not in never and self.in_stock(product):
                found.append(product)
        return found[:most]

    def _last(self, contact: int) -> list[str]:
        """The 20 products that the contact had to do with last."""
        at: dict[str, int] = {}
        own = (self.latest(contact, "product_viewed"), self.cart(contact), self.wishlist(contact), self.bought(contact))
        for held in own:
            for product, instant in held.items():
                if product in self.counted:
                    at[product] = max(at.get(product, -1), instant)
        return newest_first(at)[:20]

    def _liked(self, products: list[str]) -> dict[str, int]:
        return {one: self.points.get(one, 0) for one in products}

    def _alike(self, seed: str, scores: dict[str, int]) -> dict[str, int]:
        category, price = self.category(seed), self.to_pay(seed)
        found = {}
        for product, score in scores.items():
            theirs = self.to_pay(product)
            near = price is None or (theirs is not None and 7 * price <= 10 * theirs <= 13 * price)
            if category is not None and self.category(product) == category and near:
                found[product] = score
        return found


def newest_first(at: dict[str, int]) -> list[str]:
    return sorted(at, key=lambda one: (-at[one], key(one)))


def added_up(parts: list[dict[str, int]]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for part in parts:
        for product, score in part.items():
            sums[product] = sums.get(product, 0) + score
    return sums


def together(baskets: list[set[str]]) -> dict[str, dict[str, int]]:
    """Product -> the 30 that go with it best -> weight in hundredths."""
    baskets = [one for one in baskets if len(one) <= 50]
    holding = Counter(product for basket in baskets for product in basket)
    both = Counter(pair for basket in baskets for pair in combinations(sorted(basket), 2))
    found: dict[str, dict[str, int]] = {}
    for (one, other), count in both.items():
        if count < 2 or len(baskets) * count <= holding[one] * holding[other]:
            continue
        for mine, theirs in ((one, other), (other, one)):
            damped = count / (count + 4.0)
            weight = (len(baskets) / holding[mine]) * (count / holding[theirs]) * damped
            if int(weight * 100) > 0:
                found.setdefault(mine, {})[theirs] = int(weight * 100)
    return {
        mine: dict(sorted(others.items(), key=lambda one: (-one[1], key(one[0])))[:30])
        for mine, others in found.items()
    }
