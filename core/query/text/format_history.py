"""What has been and what was, as canonical text."""

from __future__ import annotations

from core.query.ast import Absolute, Changed, Compare, Comparison, HasBeen, HasBeenIn, Operand, Reachable, WasIn
from core.query.text.format_filters import compared_text, operator_text, related_text
from core.query.text.format_selections import event_window_text
from core.query.text.format_values import choice_text, dotted_text, duration_text, name_text, operand_text, quoted

_HAD = {
    Compare.CONTAINS: "has contained",
    Compare.NOT_CONTAINS: "has not contained",
    Compare.STARTS: "has started with",
    Compare.ENDS: "has ended with",
    Compare.MATCHES: "has matched",
    Compare.HAS_ANY: "has had any",
    Compare.HAS_ALL: "has had all",
    Compare.HAS_NONE: "has had none",
}
_STATES = {Compare.MISSING: "missing", Compare.PRESENT: "present"}
_LISTED = (Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE)


def has_been_text(condition: HasBeen) -> str:
    """`status has been "waiting" for at least 3 days`."""
    return f"{_held_text(condition.test)} for at least {duration_text(condition.duration_us)}"


def _held_text(test: Comparison) -> str:
    name = dotted_text(test.name)
    if test.compare is Compare.LENGTH:
        return f"length of {name} has been {related_text(test)}"
    folding = " ignoring case" if test.ignoring_case else ""
    if test.compare in _STATES:
        return f"{name} has been {_STATES[test.compare]}{folding}"
    if test.compare in _LISTED:
        words = operator_text(test.compare, test.operands).removeprefix("has ")
        return f"{name} has had {words}{folding}"
    if test.compare in _HAD:
        return f"{name} {_HAD[test.compare]} {operand_text(test.operands[0])}{folding}"
    if test.compare is Compare.EQ:
        return f"{name} has been {operand_text(test.operands[0])}{folding}"
    return f"{name} has been {compared_text(test)}"


def changed_text(condition: Changed) -> str:
    """`status changed from "a" to any of ("b", "c") in last 3 days`."""
    before = "" if condition.before is None else f" from {_values_text(condition.before)}"
    after = "" if condition.after is None else f" to {_values_text(condition.after)}"
    # "from" would be read as the value before the change, so dates stand apart.
    apart = " at any time" if isinstance(condition.window, Absolute) else ""
    return f"{dotted_text(condition.name)} changed{before}{after}{apart}{event_window_text(condition.window)}"


def _values_text(values: tuple[Operand, ...]) -> str:
    return choice_text([operand_text(value) for value in values]) if values else "missing"


def was_in_text(condition: WasIn, *, never: bool = False) -> str:
    """`was in segment "x" at any time in last 90 days`; `never`: `was never in segment "x" in last 90 days`."""
    apart = "" if condition.window is None or never else " at any time"
    window = f"{apart}{event_window_text(condition.window)}"
    return f"was {'never ' if never else ''}in {condition.group.value} {quoted(condition.name)}{window}"


def has_been_in_text(condition: HasBeenIn) -> str:
    """`has been in segment "x" for at least 30 days`."""
    duration = duration_text(condition.duration_us)
    return f"has been in {condition.group.value} {quoted(condition.name)} for at least {duration}"


def reachable_text(condition: Reachable) -> str:
    """`reachable by (email, sms)`."""
    names = [name_text(channel) for channel in condition.channels]
    if not names:
        return "reachable"
    return f"reachable by {names[0]}" if len(names) == 1 else f"reachable by ({', '.join(names)})"
