"""Rhythm: stopped, restarted, regularly, rising and falling."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import TYPE_CHECKING

from tests.oracle.calendar import period_days, start_of, today
from tests.oracle.facts import Plain
from tests.oracle.windows import zone

if TYPE_CHECKING:
    from tests.oracle.row import Row


def beats(row: Row, condition: Plain) -> bool:
    """Whether the contact's matching events have the rhythm."""
    now = row.as_of
    instants = [e["occurred_at"] for e in row.selected(condition["events"])]

    def some(after: int, until: int) -> int:
        """How many in (after, until]."""
        return sum(after < us <= until for us in instants)

    match condition["is"]:
        case "stopped":
            # "Stopped with W before and L last: some in `(as_of-L-W, as_of-L]`, none in `(as_of-L, as_of]`."
            before, last = condition["active_us"], condition["silent_us"]
            return some(now - last - before, now - last) > 0 and some(now - last, now) == 0
        case "restarted":
            # "some in the last L, none in that W, some at or before `as_of-L-W`"
            last, silent = condition["recent_us"], condition["silent_us"]
            earlier = any(us <= now - last - silent for us in instants)
            return some(now - last, now) > 0 and some(now - last - silent, now - last) == 0 and earlier
        case "regularly":
            return _regularly(row, condition, instants)
        case "trend":
            span = condition["span_us"]
            new, old = some(now - span, now), some(now - 2 * span, now - span)
            percent = Fraction(condition["percent"])
            if condition["rising"]:  # "`100·new >= (100+p)·old` and old >= 1"
                return old >= 1 and 100 * new >= (100 + percent) * old
            return old >= 1 and 100 * new <= (100 - percent) * old
    raise ValueError(condition["is"])


def _regularly(row: Row, condition: Plain, instants: list[int]) -> bool:
    """ "at least c times (default 1) in at least k of the last n complete calendar periods"."""
    clock = zone(row, condition["zone"])
    held = 0
    end = period_days(today(row.as_of, clock), {"period": condition["period"], "offset": 0, "count": 1})[0]
    for _ in range(condition["n"]):
        before = {"period": condition["period"], "offset": 0, "count": 1}
        start = period_days(end - timedelta(days=1), before)[0]
        times = sum(start_of(start, clock) <= us < start_of(end, clock) for us in instants)
        held += times >= condition["times"]
        end = start
    return bool(held >= condition["k"])
