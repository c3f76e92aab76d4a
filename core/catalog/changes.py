"""How a product became different: its standing at the last import against that of now."""

from __future__ import annotations

from dataclasses import dataclass

from core.events.facts import ProductChange, ProductChangeKind
from core.schema import DECIMAL_SCALE

_Kind = ProductChangeKind


@dataclass(frozen=True, slots=True)
class Standing:
    """What changes are told of: stock in pieces (None: not known), prices in units of 1e-4 (None: not told)."""

    stock: int | None
    price: int | None
    sale_price: int | None

    @property
    def on_promotion(self) -> bool:
        """By semantics: sale < price."""
        return self.price is not None and self.sale_price is not None and self.sale_price < self.price

    @property
    def to_pay(self) -> int | None:
        """The price that a customer pays."""
        return self.sale_price if self.on_promotion else self.price


def changes_between(before: Standing | None, now: Standing, low_stock: int) -> tuple[ProductChange, ...]:
    """The changes from `before` (None: not known until now) to `now`, by kind. Nothing is told of a stock or a price
    that was or is not known. Running low and the last item are met on the way down only."""
    if before is None:
        return (ProductChange(_Kind.NEW),)
    found = _of_stock(before.stock, now.stock, low_stock)
    if before.to_pay is not None and now.to_pay is not None and before.to_pay != now.to_pay:
        found.append(_of_price(before.to_pay, now.to_pay))
    if before.on_promotion != now.on_promotion:
        found.append(ProductChange(_Kind.PROMOTION_STARTED if now.on_promotion else _Kind.PROMOTION_ENDED))
    return tuple(found)


def _of_stock(before: int | None, now: int | None, low_stock: int) -> list[ProductChange]:
    if before is None or now is None or before == now:
        return []
    if before <= 0 or now <= 0:
        if before <= 0 < now:
            return [ProductChange(_Kind.BACK_IN_STOCK)]
        return [ProductChange(_Kind.OUT_OF_STOCK)] if now <= 0 < before else []
    found = []
    if now <= low_stock < before:
        found.append(ProductChange(_Kind.RUNNING_LOW))
    if now == 1 < before:
        found.append(ProductChange(_Kind.LAST_ITEM))
    return found


def _of_price(before: int, now: int) -> ProductChange:
    kind = _Kind.PRICE_DROPPED if now < before else _Kind.PRICE_RAISED
    # Rounded down, so that "by at least p %" holds of the rounded number exactly when it holds of the true one.
    percent = abs(now - before) * 100 * DECIMAL_SCALE // before if before else 0
    return ProductChange(kind, before, now, min(percent, 2**63 - 1))
