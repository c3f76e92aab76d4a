"""Changes of an attribute: which writes are looked at, and what the contact's history says about them.

A write starts something if it changed what is present: by the order of instants the value before it was another one, no
later write stands in the history when it is looked at, and none came until the time for which it has to hold is over.
Consecutive equal values are one. Which values it went from and to is told by the history, not by the order of arrival.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypeGuard

from core.events.facts import AttributeWrite
from core.query.text.moments import parse_date, parse_instant
from core.scenario.definition import FieldTrigger
from core.scenario.plan import Plan
from core.scenario.trigger import Cause, is_fresh
from core.schema import DECIMAL_SCALE, DecimalUnits, Instant, Scalar, Value


@dataclass(frozen=True, slots=True)
class Write:
    """An attribute has `value` from `at_us` on; None: it is missing."""

    at_us: int
    value: Value | None


@dataclass(frozen=True, slots=True)
class FieldChange:
    """The attribute went from `old` to `new`; None: missing."""

    old: Value | None
    new: Value | None


def is_worth_a_look(plan: Plan, write: AttributeWrite, recorded_at_us: int) -> bool:
    """Whether `write` may start runs: of the trigger's attribute, to its value, fresh, and not imported unless the
    scenario says so. A write that is dated ahead is none: it is no change yet."""
    trigger = plan.definition.trigger
    if not isinstance(trigger, FieldTrigger) or write.name != trigger.attribute:
        return False
    if write.imported and Cause.IMPORT not in plan.definition.causes:
        return False
    if trigger.new is not None and not _equal(write.value, trigger.new):
        return False
    return write.occurred_at_us <= recorded_at_us and is_fresh(plan, write.occurred_at_us, recorded_at_us)


def change_of(trigger: FieldTrigger, history: Sequence[Write], at_us: int, until_us: int) -> FieldChange | None:
    """The change that the write at `at_us` made, if it is one that `trigger` means and its value still holds at
    `until_us`, else None.

    `history` are the contact's writes of the attribute in their order of instants; those after `until_us` are not
    looked at. It may begin late, as long as the write before the one at `at_us` with another value is in it.
    """
    known = [write for write in history if write.at_us <= until_us]
    before = next((write for write in reversed(known) if write.at_us < at_us), Write(0, None))
    since = [write for write in known if write.at_us >= at_us]
    if not since or since[0].at_us != at_us:
        return None  # it is not in the history any more: taken back, or erased
    at_once = [write for write in since if write.at_us == at_us][-1]
    if any(not _equal(write.value, at_once.value) for write in since if write.at_us > at_us):
        return None
    old, new = before.value, at_once.value
    if _equal(old, new):
        return None
    if trigger.old is not None and not _equal(old, trigger.old):
        return None
    return FieldChange(old, new) if trigger.new is None or _equal(new, trigger.new) else None


def values_of_change(trigger: FieldTrigger, change: FieldChange) -> dict[str, Scalar]:
    """What a run knows of it: the attribute, and its values where they are there and no lists."""
    values: dict[str, Scalar] = {"attribute": trigger.attribute}
    if _is_scalar(change.old):
        values["old"] = change.old
    if _is_scalar(change.new):
        values["new"] = change.new
    return values


def _is_scalar(value: Value | None) -> TypeGuard[Scalar]:
    return isinstance(value, str | bool | int | DecimalUnits | Instant | date)


def _equal(one: Value | None, other: Value | None) -> bool:
    """Whether two values are the same; whole numbers and decimals meet, `true` is not 1, and a date or an instant may
    be written as a text."""
    if isinstance(one, date | Instant) and isinstance(other, str):
        return _written(one, other)
    if isinstance(other, date | Instant) and isinstance(one, str):
        return _written(other, one)
    return _comparable(one) == _comparable(other)


def _written(value: date | Instant, text: str) -> bool:
    try:
        return value == (parse_instant(text) if isinstance(value, Instant) else parse_date(text))
    except ValueError:
        return False


def _comparable(value: Value | None) -> object:
    if isinstance(value, bool):
        return "boolean", value
    if isinstance(value, int):
        return "number", value * DECIMAL_SCALE
    if isinstance(value, DecimalUnits):
        return "number", value.units
    return type(value), value
