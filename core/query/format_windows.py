"""Windows as canonical text."""

from __future__ import annotations

from core.query.ast import Absolute, BetweenAgo, Calendar, InLast, InNext, MoreThanAgo, Window, Zone
from core.query.format_values import duration_text, operand_text, unit_of, unit_word

_ZONES = {Zone.WORKSPACE: "", Zone.UTC: " in UTC", Zone.CONTACT: " in contact's zone"}


def window_text(window: Window) -> str:
    """The phrase of a window, as it stands after an event."""
    match window:
        case InLast(duration_us):
            return f"in last {duration_text(duration_us)}"
        case InNext(duration_us):
            return f"in next {duration_text(duration_us)}"
        case MoreThanAgo(duration_us):
            return f"more than {duration_text(duration_us)} ago"
        case BetweenAgo(near_us, far_us):
            _, unit_us = unit_of(near_us, far_us)
            return f"between {near_us // unit_us} and {far_us // unit_us} {unit_word(far_us, near_us)} ago"
        case Absolute():
            return _absolute_text(window)
        case Calendar(period, offset, count, zone):
            direction = {0: "this", -1: "last", 1: "next"}[offset]
            periods = period.value if count == 1 else f"{period.value}s"
            number = "" if count == 1 else f"{count} "
            return f"{direction} {number}calendar {periods}{_ZONES[zone]}"


def _absolute_text(window: Absolute) -> str:
    parts = []
    if window.start is not None:
        parts.append(f"from {operand_text(window.start)}")
    if window.until is not None:
        parts.append(f"{'through' if window.through else 'until'} {operand_text(window.until)}")
    return f"{' '.join(parts)}{_ZONES[window.zone]}"


def attribute_window_text(window: Window) -> str:
    """The phrase of a window, as it stands after an attribute: calendar periods take an `in`."""
    return f"in {window_text(window)}" if isinstance(window, Calendar) else window_text(window)
