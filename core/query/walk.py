"""Going through all parts of a condition, whatever its class: every frozen part inside of it, or a changed copy.

Passes that treat equal parts equally wherever they stand (parameters, names, windows, filters) use this, so that a new
condition kind needs no line in them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar

from core.query.ast import (
    Comparison,
    EventSelection,
    FilterTree,
    SinceLast,
    UntilFirst,
    Window,
)

PartT = TypeVar("PartT")
_ANCHORED = (SinceLast, UntilFirst)


@cache
def _field_names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(cls) if one.name != "span")


def parts(whole: object) -> Iterator[object]:
    """`whole` and every part of it that is a frozen dataclass, parents first, in the order written."""
    stack = [whole]
    while stack:
        part = stack.pop()
        if isinstance(part, tuple):
            stack.extend(reversed(part))
        elif is_dataclass(part) and not isinstance(part, type):
            yield part
            stack.extend(getattr(part, name) for name in reversed(_field_names(type(part))))


def parts_of(whole: object, kind: type[PartT]) -> Iterator[PartT]:
    """Those of one class (or union of classes)."""
    for part in parts(whole):
        if isinstance(part, kind):
            yield part


def rebuilt(whole: PartT, change: Callable[[object], object]) -> PartT:
    """A copy in which every dataclass part p is `change(p)`, children first; a part of which nothing changed is the
    same object. Filters nest only through element matches, so recursion is as deep as the classes nest."""
    if isinstance(whole, tuple):
        children = tuple(rebuilt(child, change) for child in whole)
        unchanged = all(new is old for new, old in zip(children, whole, strict=True))
        return whole if unchanged else children  # type: ignore[return-value]
    if not is_dataclass(whole) or isinstance(whole, type):
        return whole
    changed = {}
    for name in _field_names(type(whole)):
        old = getattr(whole, name)
        new = rebuilt(old, change)
        if new is not old:
            changed[name] = new
    copy = replace(whole, **changed) if changed else whole
    return change(copy)  # type: ignore[return-value]


def selections(condition: object) -> Iterator[EventSelection]:
    """Every selection of events in a condition, those that bound a window included."""
    return parts_of(condition, EventSelection)


def comparisons(condition: object) -> Iterator[Comparison]:
    """Every comparison in a condition, those inside of filters and elements included."""
    return parts_of(condition, Comparison)


def filters(condition: object) -> Iterator[FilterTree]:
    """Every filter of a selection in a condition."""
    for selection in selections(condition):
        yield selection.filter


def anchors(window: Window | None) -> EventSelection | None:
    """The events that bound a window, where a contact without them has no such window."""
    return window.events if isinstance(window, _ANCHORED) else None
