"""What follows from the statuses of orders, one after the other in the order of the log."""

from __future__ import annotations

from collections.abc import Mapping

from core.events.columns import IMPORTED, Event
from core.events.validate import ORDER_ID_PREFIX
from core.orders.book import DECIDING, ORDER_CORRECTED, amount_of, postings
from core.orders.codec import MOST_STATUSES, OrderRecord
from core.orders.ids import COMPLETED, correction_id, counted_status
from core.schema import DecimalUnits, Scalar

_ORDER_PREFIX = "order_"


def order_of(event: Event) -> str | None:
    """The id of the order of which `event` tells a status that counts once; None for all other events."""
    order_id = event.params.get("order_id")
    told = event.id.startswith(ORDER_ID_PREFIX) and event.type not in (ORDER_CORRECTED, "order_updated")
    return order_id if told and isinstance(order_id, str) else None


def followed(record: OrderRecord, event: Event, received_at_us: int) -> tuple[OrderRecord, list[Event]]:
    """The order after a status, and the corrections to be written; the record itself, and none, for a repetition."""
    status = event.type.removeprefix(_ORDER_PREFIX)
    counted = counted_status(status, event.params)
    if record.knows(counted):
        return record, []
    statuses = (*record.statuses, (counted, event.occurred_at_us, event.received_at_us))
    book = record.book
    if status in DECIDING:
        total = event.params.get("total")
        completed = total.units if isinstance(total, DecimalUnits) else None
        units = completed if status == COMPLETED else amount_of(event.params, event.items)
        book = book.told(counted, event.occurred_at_us, units)
    whose = event.identifiers if status == COMPLETED else record.identifiers
    # Of an order whose person was erased nobody's sums are left to correct.
    posted = postings(record.book, book) if whose else []
    after = OrderRecord(book, statuses[:MOST_STATUSES], whose, record.posted + len(posted))
    order_id = str(event.params["order_id"])
    corrections = []
    for number, (at_us, units) in enumerate(posted, start=record.posted + 1):
        params: Mapping[str, Scalar] = {"order_id": order_id, "status": status, "total": DecimalUnits(units)}
        corrections.append(
            Event(
                correction_id(order_id, number),
                ORDER_CORRECTED,
                at_us,
                received_at_us,
                whose,
                params,
                flags=event.flags & IMPORTED,
            )
        )
    return after, corrections
