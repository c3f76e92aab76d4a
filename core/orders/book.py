"""What an order is worth over time, and the corrections that make sums say so.

`order_completed` counts with its `total`, as every template and every shop expects. What is sent back or cancelled
takes part of it away again: as events `order_corrected`, whose `total` is negative, made by the platform. So
`sum(any of (order_completed, order_corrected).total)` is what was completed less what was returned or cancelled, in any
window, and whatever order the statuses arrived in:

- the worth at an instant is 0 before the order was completed; then its total less all returns dated until that instant,
  never less than 0 (returns dated before the completion count from the completion on);
- it is 0 from a cancellation on that is not dated before the completion: an order that was cancelled, taken up again
  and completed counts;
- without a completed order, returns and cancellations are worth nothing.

A correction is posted at the instant at which the worth changes. Where a status arrives late, what was posted before is
evened out by further corrections at the same instants, so that sums depend on the facts alone; corrections are never
changed or taken back. A return without an amount takes all that is left.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from core.orders.ids import CANCELLED, COMPLETED, REFUNDED
from core.schema import MAX_DECIMAL_UNITS, DecimalUnits, Scalar

ORDER_CORRECTED = "order_corrected"
#: Statuses that decide what an order is worth.
DECIDING = frozenset({COMPLETED, CANCELLED, REFUNDED})


@dataclass(frozen=True, slots=True)
class Return:
    """One return: its counted status, its instant, and its amount in units (None: all that is left)."""

    status: str
    at_us: int
    units: int | None


@dataclass(frozen=True, slots=True)
class OrderBook:
    """The statuses of one order that decide its worth. Of each the first accepted counts."""

    completed_at_us: int | None = None
    total_units: int = 0
    cancelled_at_us: int | None = None
    returns: tuple[Return, ...] = ()

    def knows(self, counted: str) -> bool:
        """Whether this status was told before."""
        match counted:
            case "completed":
                return self.completed_at_us is not None
            case "cancelled":
                return self.cancelled_at_us is not None
        return any(one.status == counted for one in self.returns)

    def told(self, counted: str, at_us: int, units: int | None) -> OrderBook:
        """The book after a status that it does not know yet; `units` are its total or amount."""
        if counted == COMPLETED:
            return replace(self, completed_at_us=at_us, total_units=max(0, units or 0))
        if counted == CANCELLED:
            return replace(self, cancelled_at_us=at_us)
        return replace(self, returns=(*self.returns, Return(counted, at_us, units)))

    def corrections(self) -> dict[int, int]:
        """By how much the worth falls below the completed total, at each instant at which that changes, in units."""
        if self.completed_at_us is None:
            return {}
        left, found = self.total_units, dict[int, int]()
        steps = [(max(one.at_us, self.completed_at_us), one.status, one.units) for one in self.returns]
        cancelled_at_us = self.cancelled_at_us
        if cancelled_at_us is not None and cancelled_at_us >= self.completed_at_us:
            steps.append((cancelled_at_us, "", None))
        for at_us, _, units in sorted(steps, key=lambda step: step[:2]):
            taken = left if units is None else min(left, max(0, units))
            left -= taken
            if taken:
                found[at_us] = found.get(at_us, 0) - taken
        return found


def postings(before: OrderBook, after: OrderBook) -> list[tuple[int, int]]:
    """What has to be posted when a book changes: (instant, units), ascending, none of them 0."""
    then, now = before.corrections(), after.corrections()
    changed = ((at_us, now.get(at_us, 0) - then.get(at_us, 0)) for at_us in sorted({*then, *now}))
    return [(at_us, units) for at_us, units in changed if units]


def amount_of(params: Mapping[str, object], items: Sequence[Mapping[str, Scalar]]) -> int | None:
    """What a return's event says was paid back, in units: `amount`, else `total`, else the sum of its lines (their
    `amount`, or price by quantity, one by default). None where nothing says it. Signs do not count."""
    for name in ("amount", "total"):
        value = params.get(name)
        if isinstance(value, DecimalUnits):
            return abs(value.units)
    amounts = list(_line_amounts(items))
    if not amounts or any(one is None for one in amounts):
        return None
    return min(sum(one for one in amounts if one is not None), MAX_DECIMAL_UNITS)


def _line_amounts(items: Sequence[Mapping[str, Scalar]]) -> Iterator[int | None]:
    for line in items:
        amount, price, quantity = line.get("amount"), line.get("price"), line.get("quantity", 1)
        if isinstance(amount, DecimalUnits):
            yield abs(amount.units)
        elif isinstance(price, DecimalUnits) and isinstance(quantity, int):
            yield abs(price.units * quantity)
        else:
            yield None
