"""Conditions that count messages by what happened to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.oracle.calendar import on_the_clock, zone_of
from tests.oracle.facts import Plain
from tests.oracle.windows import interval

if TYPE_CHECKING:
    from tests.oracle.row import Row

_DAY = {"weekdays": [], "hours": (8 * 3600, 20 * 3600)}


def counted(row: Row, condition: Plain) -> bool:
    """ "Messages: verbs count distinct messages, windows use the verb's own time"."""
    if interval(row, condition["window"]) is None:
        return False
    found = _messages(row, condition)
    if condition["sent"] is not None:
        found = {message for message in found if _sent(row, message) == condition["sent"]}
    return row.compared(condition, len(found))


def _messages(row: Row, condition: Plain) -> set[Any]:
    def ids(verb: str, always: bool = False) -> set[Any]:
        free = {"filter": None, "window": None} if always else condition
        events = row.selected(
            {
                "names": [f"message_{verb}"],
                "filter": free["filter"],
                "window": free["window"],
                "moments": None,
                "products": [],
                # "machine events count nowhere unless asked for"
                "with_machines": condition["with_machines"],
            }
        )
        return {_message(event) for event in events}

    match condition["verb"]:
        case "received":  # "delivered, or sent and not bounced where the channel reports no delivery"
            return ids("delivered") | (ids("sent") - ids("delivered", True) - ids("bounced", True))
        case "opened":  # "a human click counts as an open"
            return ids("opened") | ids("clicked")
    return ids(condition["verb"])


def _message(event: Plain) -> Any:
    """What tells messages apart; an event that names none is a message of its own."""
    return event["params"].get("message_id") or ("unnamed", event["log"])


def _sent(row: Row, message: Any) -> str | None:
    """ "A day message was sent in `[08:00, 20:00)` in the contact's zone stored at sending; its opens and clicks
    inherit it." """
    sent = [e for e in row.events if e["type"] == "message_sent" and _message(e) == message]
    if not sent:
        return None
    first = min(sent, key=lambda e: (e["occurred_at"], e["id"].encode(), e["log"]))
    zone = zone_of(first["params"].get("time_zone")) or row.oracle.workspace
    return "day" if on_the_clock(first["occurred_at"], zone, _DAY) else "night"
