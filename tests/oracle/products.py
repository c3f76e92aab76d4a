"""The catalogue: what state the product of an event was in, or is."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from tests.oracle.facts import Plain
from tests.oracle.filters import lines_holding

if TYPE_CHECKING:
    from tests.oracle.row import Row


def suits_products(row: Row, conditions: list[Plain], event: Plain, same: tuple[str, Any] | None) -> bool:
    """ "Some one line must satisfy all product conditions.": a line, or the event itself where no line names a
    product."""
    lines = event["items"] if same is None else lines_holding(event["items"], same)
    holders = [line for line in lines if line.get("product_id") is not None] or [event["params"]]
    return any(
        all(_suits(row, condition, holder, event["occurred_at"]) for condition in conditions) for holder in holders
    )


def state(row: Row, product: Any, us: int) -> Plain:
    """ "Product states are intervals `[from, to)` by feed time."; of one instant the last counts; none is {}."""
    past = [said for said in row.oracle.products.get(product, []) if said["occurred_at"] <= us]
    return max(past, key=lambda said: (said["occurred_at"], said["log"]))["fields"] if past else {}


def _suits(row: Row, condition: Plain, holder: Plain, us: int) -> bool:
    found = state(row, holder.get("product_id"), us if condition["at_event"] else row.as_of)
    # "An unknown, deleted or stock-unknown product makes every product leaf false."
    stock = found.get("stock")
    if stock is None and found.get("available") is not None:
        stock = 10**18 if found["available"] else 0  # "in stock", nobody says how many: never low
    if stock is None:
        return False
    price, sale = found.get("price"), found.get("sale_price")
    promoted = price is not None and sale is not None and sale < price
    if condition["price_drop"] is not None:
        # "Price dropped by p %: `100·(p_event - p_now) >= p·p_event`."
        then, now = holder.get("price"), sale if promoted else price
        if then is None or now is None:
            return False
        then, now = Fraction(then), Fraction(now)
        return 100 * (then - now) >= Fraction(condition["price_drop"]) * then
    match condition["state"]:
        case "in stock":
            return bool(stock > 0)
        case "out of stock":
            return bool(stock <= 0)
        case "low in stock":  # "low: 0 < stock <= the workspace's limit"
            return bool(0 < stock <= found.get("low_stock", row.oracle.setting["low_stock"]))
        case "the last item":  # "last item: stock = 1"
            return bool(stock == 1)
        case "on promotion":  # "Promotion: sale < price"
            return promoted
    raise ValueError(condition["state"])
