"""Ids of order events: an order's status counts once for ever, and a return by its own number."""

from __future__ import annotations

from collections.abc import Mapping

from core.events.validate import ORDER_ID_PREFIX

COMPLETED = "completed"
CANCELLED = "cancelled"
REFUNDED = "refunded"
CORRECTED = "corrected"
#: Number of one return of an order, for those that come in parts.
REFUND_ID = "refund_id"
_MAX_REFUND_ID = 64


def order_event_id(order_id: str, status: str, params: Mapping[str, object]) -> str:
    """The id of the event that tells `status` of an order: of different orders, statuses and returns it is different.
    A return that has a number (`refund_id`, 1 to 64 characters) counts by it; all that have none are one."""
    return f"{_of_order(order_id)}:{counted_status(status, params)}"


def correction_id(order_id: str, number: int) -> str:
    """The id of an order's correction of this number, from 1."""
    return f"{_of_order(order_id)}:{CORRECTED}:{number}"


def _of_order(order_id: str) -> str:
    # No status has a colon, so the last one ends the order's id, or the first ":refunded:" or ":corrected:" does. An id
    # that holds such a thing itself tells its length behind a colon, with which no other id begins.
    if order_id.startswith(":") or f":{REFUNDED}" in order_id or f":{CORRECTED}" in order_id:
        return f"{ORDER_ID_PREFIX}:{len(order_id)}:{order_id}"
    return f"{ORDER_ID_PREFIX}{order_id}"


def counted_status(status: str, params: Mapping[str, object]) -> str:
    """The status as far as repetitions of it are one."""
    refund = params.get(REFUND_ID)
    if status == REFUNDED and isinstance(refund, str) and 1 <= len(refund) <= _MAX_REFUND_ID:
        return f"{status}:{refund}"
    return status
