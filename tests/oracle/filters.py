"""Filters: a tree of comparisons on a contact, an event, or one element of a list."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from tests.oracle.dates import timely
from tests.oracle.facts import Plain
from tests.oracle.values import holds, key
from tests.oracle.windows import date_within, within

if TYPE_CHECKING:
    from tests.oracle.row import Row

_TIMELY = ("has anniversary", "age", "at", "within distance")


@dataclass(frozen=True)
class Around:
    """What a filter stands on. `value_of` reads it; `element`: it is one element of a list; `same` is (p, v) if the
    lines of the event are bound by `for the same p`; `event` is the event, or the one that the line belongs to;
    `steps` are the events that earlier steps of a sequence have matched, by name."""

    value_of: Callable[[str], Any]
    element: bool = False
    same: tuple[str, Any] | None = None
    event: Plain | None = None
    steps: Mapping[str, Plain] = field(default_factory=dict)


def passes(row: Row, test: Plain, around: Around) -> bool:
    """Whether what the filter stands on passes it."""
    match test["is"]:
        case "compare":
            return _compare(row, test, around)
        case "any":
            elements = around.value_of(test["name"])
            if elements is None:  # "On an empty list `all` is true (on a missing one false)"
                return False
            if around.same is not None and test["name"] == "items":
                elements = lines_holding(elements, around.same)
            found = [_element(row, test, replace(around, value_of=e.get, element=True)) for e in elements]
            return all(found) if test["every"] else any(found)
    return joined(test, lambda part: passes(row, part, around))


def _element(row: Row, test: Plain, around: Around) -> bool:
    return test["filter"] is None or passes(row, test["filter"], around)


def _compare(row: Row, test: Plain, around: Around) -> bool:
    value = around.value_of(test["name"])
    # "binds all its parts to the same element; missing keys never bind"
    if around.element and value is None and test["op"] != "is missing":
        return False
    if test["op"] == "within":
        if value is None:
            return False
        if isinstance(value, date):
            return date_within(row, test["window"], value, test["zone"])
        return within(row, {"zone": test["zone"], **test["window"]}, value[1])
    operands = [row.operand(o, around.event, around.steps) for o in test["operands"]]
    if test["op"] in _TIMELY:
        return timely(row, test, value, operands)
    return holds(test["op"], value, operands, test["ignoring_case"], test["relation"])


def lines_holding(lines: list[Plain], same: tuple[str, Any]) -> list[Plain]:
    """ "if p belongs to an item, item filters bind to the line that holds v"."""
    return [line for line in lines if line.get(same[0]) is not None and key(line[same[0]]) == key(same[1])]


def joined(branch: Plain, holds_of: Callable[[Plain], bool]) -> bool:
    """How an inner node joins its parts. "Include lists joined by commas are `and`; exclude lists by commas are `or`.
    `at least k of (...)`." """
    parts = [holds_of(part) for part in branch["of"]]
    match branch["is"]:
        case "and":
            return all(parts)
        case "or":
            return any(parts)
        case "not":
            return not parts[0]
        case "at_least":
            return bool(sum(parts) >= branch["k"])
        case "except":
            return all(parts[: branch["k"]]) and not any(parts[branch["k"] :])
    raise ValueError(branch["is"])
