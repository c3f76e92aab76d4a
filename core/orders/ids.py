"""Ids of order events: an order's status counts once for ever, and a return by its own number."""

from __future__ import annotations

from collections.abc import Mapping

from core.events.validate import ORDER_ID_PREFIX

COMPLETED = "completed"
CANCELLED = "cancelled"
REFUNDED = "refunded"
#: Number of one return of an order, for those that come in parts.
REFUND_ID = "refund_id"
_MAX_REFUND_ID = 64


def order_event_id(order_id: str, status: str, params: Mapping[str, object]) -> str:
    """The id of the event that tells `status` of an order. A return that has a number (`refund_id`, 1 to 64 characters)
    counts by it; all that have none are one."""
    return f"{ORDER_ID_PREFIX}{order_id}:{counted_status(status, params)}"


def counted_status(status: str, params: Mapping[str, object]) -> str:
    """The status as far as repetitions of it are one."""
    refund = params.get(REFUND_ID)
    if status == REFUNDED and isinstance(refund, str) and 1 <= len(refund) <= _MAX_REFUND_ID:
        return f"{status}:{refund}"
    return status
