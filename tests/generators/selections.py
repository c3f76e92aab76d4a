"""Random selections of events: names, filters, windows, weekdays and hours, products."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from core.query.ast import (
    Comparison,
    ElementMatch,
    EventSelection,
    FilterTree,
    ProductCondition,
    SinceLast,
    Stock,
    UntilFirst,
    Window,
)
from core.schema import DecimalUnits, Kind
from tests.generators.comparisons import Comparisons
from tests.generators.moments import Moments
from tests.generators.trees import tree
from tests.generators.vocabulary import ITEMS, params_of
from tests.generators.windows import clock_times, event_window

#: What selections name: one type, several, a prefix, a prefix of everything that carries a product.
SELECTIONS = (
    ("product_viewed",),
    ("product_viewed",),
    ("order_completed",),
    ("order_completed",),
    ("cart_updated",),
    ("cart_updated",),
    ("app_opened",),
    ("never_happened",),
    ("product_viewed", "cart_updated"),
    ("order_completed", "order_cancelled"),
    ("order_*",),
    ("product_*",),
    ("message_opened",),
    ("order_*", "cart_updated"),
)


class SelectionMaker:
    """Makes selections whose names are those of the random worlds."""

    def __init__(self, random: Random, moments: Moments, comparisons: Comparisons) -> None:
        self.random = random
        self.moments = moments
        self.comparisons = comparisons

    def names(self) -> tuple[str, ...]:
        """Which events, mostly frequent ones."""
        return self.random.choice(SELECTIONS)

    def selection(
        self, names: tuple[str, ...] | None = None, *, windowed: bool = True, anchored: bool = True
    ) -> EventSelection:
        """A selection; without a window, or without one that other events bound, if so asked."""
        random = self.random
        names = names or self.names()
        window = self.window(anchored=anchored) if windowed and random.random() < 0.75 else None
        moments = clock_times(random) if random.random() < 0.1 else None
        products = self._products() if _sells(names) and random.random() < 0.15 else ()
        return EventSelection(names, self.filter(names), window, moments, products, random.random() < 0.1)

    def window(self, *, anchored: bool = True) -> Window:
        """A window of events."""
        if anchored and self.random.random() < 0.15:
            bounding = self.selection(windowed=False)
            return (SinceLast if self.random.random() < 0.6 else UntilFirst)(bounding)
        return event_window(self.random, self.moments, self.comparisons)

    def filter(self, names: tuple[str, ...], often: float = 0.5) -> FilterTree:
        """A filter that suits all of the event names; often none."""
        kinds = params_of(names)
        with_items = any(name.startswith(("order_", "cart_")) for name in names)
        if self.random.random() >= often or not (kinds or with_items):
            return ()

        def leaf() -> Comparison | ElementMatch:
            if with_items and (not kinds or self.random.random() < 0.45):
                return self.element("items", ITEMS, of_event=True)
            return self.comparisons.comparison(kinds, of_event=True)

        return tree(self.random, self.random.choice((0, 0, 1, 2)), leaf)

    def element(self, name: str, kinds: Mapping[str, Kind], *, of_event: bool = False) -> ElementMatch:
        """Some element, or every one, satisfies a filter."""
        depth = self.random.choice((0, 1, 1, 2))
        found = tree(self.random, depth, lambda: self.comparisons.comparison(kinds, of_event=of_event))
        return ElementMatch(name, found, every=self.random.random() < 0.25)

    def _products(self) -> tuple[ProductCondition, ...]:
        return tuple(self._product() for _ in range(self.random.choice((1, 1, 1, 2))))

    def _product(self) -> ProductCondition:
        random = self.random
        if random.random() < 0.25:
            return ProductCondition(price_drop=DecimalUnits(random.choice((1, 100_000, 500_000, 1_000_000))))
        return ProductCondition(random.choice(tuple(Stock)), at_event=random.random() < 0.4)


def _sells(names: tuple[str, ...]) -> bool:
    return names[0].startswith(("product_", "order_", "cart_"))
