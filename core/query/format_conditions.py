"""The leaves of a rule as canonical text."""

from __future__ import annotations

from core.query.ast import (
    AttributeCondition,
    Compare,
    Condition,
    ElementMatch,
    EventAggregate,
    EventCount,
    Everyone,
    InList,
    Literal,
    MessageCount,
    Operand,
    SegmentReference,
    Window,
)
from core.query.format_filters import bracketed_text, comparison_text, element_text
from core.query.format_values import dotted_text, events_text, name_text, operand_text, quoted
from core.query.format_windows import window_text
from core.query.words import VERB_PREPOSITIONS

_COUNT_WORDS = {
    Compare.GE: "at least",
    Compare.LE: "at most",
    Compare.EQ: "exactly",
    Compare.GT: "more than",
    Compare.LT: "fewer than",
    Compare.NE: "!=",
    Compare.BETWEEN: "between",
}


def condition_text(condition: Condition) -> str:
    """One leaf."""
    match condition:
        case Everyone():
            return "everyone"
        case AttributeCondition(test):
            return element_text(test) if isinstance(test, ElementMatch) else comparison_text(test)
        case InList(name):
            return f"in list {quoted(name)}"
        case SegmentReference():
            return _reference_text(condition)
        case EventCount():
            return _event_text(condition)
        case MessageCount():
            return _message_text(condition)
        case EventAggregate():
            return _aggregate_text(condition)


def needs_brackets_after_not(condition: Condition) -> bool:
    """A message condition takes a "not" before it for its own, so brackets keep the two apart."""
    return isinstance(condition, MessageCount)


def _reference_text(reference: SegmentReference) -> str:
    arguments = [f"{name_text(name)} = {operand_text(operand)}" for name, operand in reference.arguments]
    text = f"in segment {quoted(reference.name)}"
    if not arguments:
        return text
    return f"{text} with {arguments[0]}" if len(arguments) == 1 else f"{text} with ({', '.join(arguments)})"


def _event_text(condition: EventCount) -> str:
    events = condition.events
    verb, count = "did", _count_text(condition.compare, condition.counts)
    if _is_never(condition.compare, condition.counts):
        verb, count = "did not", ""
    same = "" if condition.same is None else f" for the same {dotted_text(condition.same)}"
    selected = f"{events_text(events.names)}{bracketed_text(events.filter)}"
    return f"{verb} {selected}{count}{_window_text(events.window)}{same}"


def _message_text(condition: MessageCount) -> str:
    preposition = VERB_PREPOSITIONS.get(condition.verb)
    verb = condition.verb.value if preposition is None else f"{condition.verb.value} {preposition}"
    count = _count_text(condition.compare, condition.counts)
    if _is_never(condition.compare, condition.counts):
        verb, count = f"{'never' if condition.window is None else 'not'} {verb}", ""
    return f"{verb} message{bracketed_text(condition.filter)}{count}{_window_text(condition.window)}"


def _aggregate_text(condition: EventAggregate) -> str:
    events = condition.events
    where = f" where{bracketed_text(events.filter)}" if events.filter else ""
    value = f"{condition.function.value}({events_text(events.names)}.{dotted_text(condition.path)})"
    operands = " and ".join(operand_text(operand) for operand in condition.operands)
    compared = f"{condition.compare.value} {operands}" if operands else condition.compare.value
    return f"{value}{where}{_window_text(events.window)} {compared}"


def _window_text(window: Window | None) -> str:
    return "" if window is None else f" {window_text(window)}"


def _is_never(compare: Compare, counts: tuple[Operand, ...]) -> bool:
    return compare is Compare.EQ and counts == (Literal(0),)


def _count_text(compare: Compare, counts: tuple[Operand, ...]) -> str:
    if compare is Compare.GE and counts == (Literal(1),):
        return ""
    times = "time" if counts == (Literal(1),) else "times"
    return f" {_COUNT_WORDS[compare]} {' and '.join(operand_text(count) for count in counts)} {times}"
