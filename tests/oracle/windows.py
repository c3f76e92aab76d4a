"""Windows as intervals of instants, and what they mean for dates."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from tests.oracle.calendar import local_date, period_days, start_of, today, zone_of
from tests.oracle.facts import Plain

if TYPE_CHECKING:
    from tests.oracle.row import Row

DAY_US = 86_400_000_000
#: Before and after everything.
NEVER, FOREVER = -(10**30), 10**30
#: From an instant (included) to another (excluded).
Interval = tuple[int, int]


def zone(row: Row, name: str) -> ZoneInfo:
    """ "Zone: the workspace's by default, or UTC, or the contact's own as valid at as_of (unknown or unset: the
    workspace's)." """
    own = {"utc": "UTC", "contact": row.attribute("time_zone")}.get(name)
    return zone_of(own) or row.oracle.workspace


def interval(row: Row, window: Plain | None) -> Interval | None:
    """[start, until) of a window; None where the contact has no such window."""
    if window is None:
        return NEVER, FOREVER
    as_of = row.as_of
    match window["is"]:
        case "in last":  # "`in last D` is `(as_of - D, as_of]`"
            return as_of - window["us"] + 1, as_of + 1
        case "in next":  # "Instants `in next D`: `(as_of, as_of + D]`."
            return as_of + 1, as_of + window["us"] + 1
        case "between ago":  # "`(as_of - B, as_of - A]`"
            return as_of - window["far_us"] + 1, as_of - window["near_us"] + 1
        case "more than ago":  # "`(-inf, as_of - A]`"
            return NEVER, as_of - window["us"] + 1
        case "absolute":  # "`from F until T` is `[F, T)`, either end may stand alone"
            clock = zone(row, window["zone"])
            start, until = _bound(row, window["start"], clock), _bound(row, window["until"], clock, window["through"])
            return NEVER if start is None else start, FOREVER if until is None else until
        case "calendar":  # "A local period is `[start(d1), start(d2))`"
            clock = zone(row, window["zone"])
            first, end = period_days(today(as_of, clock), window)
            return start_of(first, clock), start_of(end, clock)
        case "on day":
            clock = zone(row, window.get("zone", "workspace"))
            day = local_date(as_of, clock) + timedelta(days=window["offset"])
            return start_of(day, clock), start_of(day + timedelta(days=1), clock)
        case "since last":  # "`since last B` is `(b, as_of]` with b the latest B"
            bounds = [e["occurred_at"] for e in row.selected(window["events"])]
            return (max(bounds) + 1, as_of + 1) if bounds else None
        case "until first":  # "`until first B` is `(-inf, b)` with b the earliest; with no B the condition is false"
            bounds = [e["occurred_at"] for e in row.selected(window["events"])]
            return (NEVER, min(bounds)) if bounds else None
    raise ValueError(window["is"])


def within(row: Row, window: Plain | None, us: int) -> bool:
    """Whether an instant lies in the window; never in one that the contact has not."""
    found = interval(row, window)
    return found is not None and found[0] <= us < found[1]


def _bound(row: Row, operand: Plain | None, clock: ZoneInfo, through: bool = False) -> int | None:
    """The instant that an end of an absolute window means; "`through` a date includes that local day"."""
    if operand is None:
        return None
    value = row.operand(operand)
    if isinstance(value, date):
        return start_of(value + timedelta(days=1) if through else value, clock)
    return int(value[1])


def date_within(row: Row, window: Plain, value: date, zone_name: str) -> bool:
    """ "Dates without a time (birth date): today is the local date of the condition's zone"."""
    now = local_date(row.as_of, zone(row, window.get("zone", zone_name)))

    def days(name: str) -> timedelta:
        return timedelta(days=window[name] // DAY_US)

    match window["is"]:
        case "in last":  # "today-n < d <= today"
            return now - days("us") < value <= now
        case "in next":  # "today <= d < today+n"
            return now <= value < now + days("us")
        case "between ago":
            return now - days("far_us") < value <= now - days("near_us")
        case "more than ago":
            return value <= now - days("us")
        case "absolute":
            start = None if window["start"] is None else row.operand(window["start"])
            until = None if window["until"] is None else row.operand(window["until"])
            if start is not None and value < start:
                return False
            return until is None or value < until or (window["through"] and value == until)
        case "calendar":
            first, end = period_days(now, window)
            return first <= value < end
        case "on day":
            return value == now + timedelta(days=window["offset"])
    raise ValueError(window["is"])


def as_date(value: Any, clock: ZoneInfo) -> date:
    """A date as it is, an instant as the local date that it falls on."""
    return value if isinstance(value, date) else local_date(value[1], clock)
