"""Windows, weekdays, hours and circles as canonical text."""

from __future__ import annotations

from core.query.ast import (
    Absolute,
    BetweenAgo,
    Calendar,
    Circle,
    InLast,
    InNext,
    Moments,
    MoreThanAgo,
    OnDay,
    SinceLast,
    UntilFirst,
    Window,
    Zone,
)
from core.query.text.format_values import duration_text, operand_text, unit_of, unit_word
from core.query.text.words import WEEKDAYS

_ZONES = {Zone.WORKSPACE: "", Zone.UTC: " in UTC", Zone.CONTACT: " in contact's zone"}
_DAY_WORDS = {day: word for word, day in WEEKDAYS.items()}
_MM_A_KM, _MM_A_M = 1_000_000, 1_000
_E7 = 10_000_000


def window_text(window: Window) -> str:
    """The phrase of a window, as it stands after an event. Not for windows that other events bound."""
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
        case OnDay(offset):
            return _day_text(offset)
        case SinceLast() | UntilFirst():
            raise TypeError("a window that events bound is written by format_selections")


def attribute_window_text(window: Window, zone: Zone = Zone.WORKSPACE) -> str:
    """The phrase of a window, as it stands after an attribute: calendar periods take an `in`. `zone` is that of the
    comparison."""
    text = f"in {window_text(window)}" if isinstance(window, Calendar) else window_text(window)
    return f"{text}{_ZONES[zone]}"


def zone_text(zone: Zone) -> str:
    """` in contact's zone`, ` in UTC`, or nothing for the workspace's."""
    return _ZONES[zone]


def moments_text(moments: Moments) -> str:
    """`on (saturday, sunday) at hours 22:00 to 06:00 in contact's zone`."""
    parts = []
    if moments.weekdays:
        days = [_DAY_WORDS[day] for day in moments.weekdays]
        parts.append(f"on {days[0]}" if len(days) == 1 else f"on ({', '.join(days)})")
    if moments.hours is not None:
        start_s, until_s = moments.hours
        parts.append(f"at hours {_time_text(start_s)} to {_time_text(until_s)}")
    return f"{' '.join(parts)}{_ZONES[moments.zone]}"


def circle_text(circle: Circle) -> str:
    """`within 5 km of (50.45, 30.52)`: whole kilometres, else metres."""
    place = f"({_degrees_text(circle.latitude_e7)}, {_degrees_text(circle.longitude_e7)})"
    if circle.radius_mm % _MM_A_KM == 0:
        return f"within {circle.radius_mm // _MM_A_KM} km of {place}"
    return f"within {_fixed_text(circle.radius_mm, _MM_A_M, 3)} m of {place}"


def _absolute_text(window: Absolute) -> str:
    parts = []
    if window.start is not None:
        parts.append(f"from {operand_text(window.start)}")
    if window.until is not None:
        parts.append(f"{'through' if window.through else 'until'} {operand_text(window.until)}")
    return f"{' '.join(parts)}{_ZONES[window.zone]}"


def _day_text(offset: int) -> str:
    if offset == 0:
        return "today"
    days = f"{abs(offset)} {'day' if abs(offset) == 1 else 'days'}"
    return f"exactly {days} {'ago' if offset < 0 else 'from now'}"


def _time_text(seconds: int) -> str:
    minutes, second = divmod(seconds, 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return f"{text}:{second:02d}" if second else text


def _degrees_text(degrees_e7: int) -> str:
    return _fixed_text(degrees_e7, _E7, 7)


def _fixed_text(units: int, scale: int, decimals: int) -> str:
    whole, fraction = divmod(abs(units), scale)
    sign = "-" if units < 0 else ""
    return f"{sign}{whole}.{fraction:0{decimals}d}".rstrip("0") if fraction else f"{sign}{whole}"
