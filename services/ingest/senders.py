"""Who may tell what: the platform's own events are its own word, whoever holds a key of the workspace."""

from __future__ import annotations

from services.runtime.caller import Caller

RESERVED_EVENT = "RESERVED_EVENT"

#: What a program with a key may not tell: the books of orders and coupons stand behind it.
OF_THE_BOOKS = frozenset({"order_corrected", "coupon_issued"})
#: What a page may not tell either. A program may: it brings the history of another platform, or of another sender.
OF_THE_PLATFORM = OF_THE_BOOKS | {
    "coupon_redeemed",
    "coupon_expired",
    "message_sent",
    "message_delivered",
    "message_opened",
    "message_clicked",
    "message_bounced",
    "message_unsubscribed",
    "message_complained",
    "scenario_entered",
    "scenario_left",
}


def reserved_from(caller: Caller) -> frozenset[str]:
    """The canonical events that this caller may not send: none for services, the most for pages in browsers, whose
    key everybody can read."""
    if caller.internal:
        return frozenset()
    return OF_THE_PLATFORM if caller.origins else OF_THE_BOOKS


def why_reserved(type_: str) -> str:
    """Why an event of this type is refused, as a sentence."""
    if type_ in OF_THE_BOOKS:
        return f"{type_} is told by the platform itself; record the order, or ask CouponService for the coupon"
    return f"{type_} cannot be told by a key that stands in pages; send it from a server, with a key without origins"
