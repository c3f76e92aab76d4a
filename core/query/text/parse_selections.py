"""Selections of events: which events, their filter, and what may follow in any order, each at most once."""

from __future__ import annotations

from dataclasses import dataclass

from core.query.ast import (
    Compare,
    Daypart,
    EventSelection,
    FilterTree,
    Literal,
    Moments,
    ProductCondition,
    SinceLast,
    UntilFirst,
    Window,
)
from core.query.limits import MAX_OPERANDS
from core.query.problems import TOO_LARGE
from core.query.text.parse_comparisons import Compared, take_between, take_relation
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_filters import take_event_filter
from core.query.text.parse_moments import at_moments, take_moments
from core.query.text.parse_products import at_on_product, take_on_product
from core.query.text.parse_windows import take_window
from core.query.text.words import COMPARING

ONCE: Compared = (Compare.GE, (Literal(1),))
NEVER: Compared = (Compare.EQ, (Literal(0),))
_COUNT_WORDS = (
    (("at", "least"), Compare.GE),
    (("at", "most"), Compare.LE),
    (("exactly",), Compare.EQ),
    (("more", "than"), Compare.GT),
    (("fewer", "than"), Compare.LT),
    (("less", "than"), Compare.LT),
)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may follow an event or a message where it stands. Messages have dayparts, and only events the others.
    `no_window`: the hint with which a window is refused; empty: one may follow."""

    count: bool = False
    no_window: str = ""
    same: bool = False
    of_messages: bool = False


@dataclass(slots=True)
class Clauses:
    """What followed."""

    count: Compared | None = None
    window: Window | None = None
    same: str | None = None
    moments: Moments | None = None
    products: tuple[ProductCondition, ...] = ()
    with_machines: bool = False
    sent: Daypart | None = None


def name_follows(cursor: Cursor) -> bool:
    """Whether, behind the next word, an event (or another name) begins, so that this is no comparison of an attribute
    called by that word."""
    if cursor.is_word(1, "any") and cursor.is_word(2, "of"):
        return True
    return cursor.at_name(1) and cursor.peek(1).word not in COMPARING


def take_selection(cursor: Cursor, *, no_window: str = "") -> EventSelection:
    """`E (filter)` and what follows it; `no_window`: the hint with which a window is refused, if none may."""
    events, _ = take_selected(cursor, Allowed(no_window=no_window))
    return events


def take_selected(cursor: Cursor, allowed: Allowed) -> tuple[EventSelection, Clauses]:
    """`E (filter)`, what follows it as part of the selection, and all that followed."""
    names = take_event_names(cursor)
    matching, products = take_event_filter(cursor)
    clauses = take_clauses(cursor, allowed)
    return selection(names, matching, products, clauses), clauses


def selection(
    names: tuple[str, ...], matching: FilterTree, products: tuple[ProductCondition, ...], clauses: Clauses
) -> EventSelection:
    """The selection that names, filter and clauses make."""
    return EventSelection(
        names, matching, clauses.window, clauses.moments, (*products, *clauses.products), clauses.with_machines
    )


def take_event_names(cursor: Cursor) -> tuple[str, ...]:
    """`E`, `E*` or `any of (E, F)`."""
    if not cursor.at("any", "of"):
        return (cursor.name("the name of an event", prefix=True),)
    cursor.skip("any", "of")
    cursor.expect("(")
    names = [cursor.name("the name of an event", prefix=True)]
    while cursor.skip(","):
        names.append(cursor.name("the name of an event", prefix=True))
        if len(names) > MAX_OPERANDS:
            raise cursor.fail(f"a list has more than {MAX_OPERANDS} events.", reason=TOO_LARGE)
    cursor.expect(")", 'Events of a list are separated by ",".')
    return tuple(names)


def take_clauses(cursor: Cursor, allowed: Allowed, found: Clauses | None = None) -> Clauses:
    """Count, window, `for the same p`, weekdays and hours, product, machines and daypart, as far as they are allowed,
    each at most once, in any order; added to `found`, which is what followed earlier."""
    found = found or Clauses()
    while _take_clause(cursor, allowed, found):
        pass
    return found


def take_event_window(cursor: Cursor) -> Window | None:
    """A window, `since last E (filter)` or `until first E (filter)`, if one follows."""
    if cursor.skip("since", "last"):
        return SinceLast(_anchor(cursor))
    if cursor.skip("until", "first"):
        return UntilFirst(_anchor(cursor))
    if cursor.at("since"):
        raise cursor.expected("a window", 'Write "since last order_completed", or "from 2026-01-31".')
    return take_window(cursor)


def _anchor(cursor: Cursor) -> EventSelection:
    """What bounds a window: an event and its filter; with more, all of it in brackets."""
    if not cursor.skip("("):
        names = take_event_names(cursor)
        matching, products = take_event_filter(cursor)
        return EventSelection(names, matching, products=products)
    events = take_selection(cursor, no_window='"since last" and "until first" mean the last and the first ever.')
    cursor.expect(")")
    return events


def _take_clause(cursor: Cursor, allowed: Allowed, found: Clauses) -> bool:
    span = cursor.span
    if cursor.at("for", "the", "same"):
        if not allowed.same or found.same is not None:
            raise cursor.fail('"for the same" cannot stand here.')
        cursor.skip("for", "the", "same")
        found.same = cursor.dotted("the name of a parameter")
        return True
    if cursor.skip("including", "machines"):
        if found.with_machines:
            raise cursor.fail('"including machines" stands here twice.', span=span)
        found.with_machines = True
        return True
    if allowed.of_messages and cursor.at("sent"):
        if found.sent is not None:
            raise cursor.fail("there are two parts of the day.", span=span)
        found.sent = _daypart(cursor)
        return True
    if not allowed.of_messages and at_on_product(cursor):
        if found.products:
            raise cursor.fail(
                "there are two products.", 'Write "on a product (now in stock and now on promotion)".', span=span
            )
        found.products = take_on_product(cursor)
        return True
    if at_moments(cursor):
        if allowed.of_messages:
            raise cursor.fail("weekdays and hours belong to events.", 'Write "sent at night" or "sent by day".')
        if found.moments is not None:
            raise cursor.fail("there are two lists of weekdays or hours.", "Write them side by side.", span=span)
        found.moments = take_moments(cursor)
        return True
    return _take_window(cursor, allowed, found) or _take_counted(cursor, allowed, found)


def _take_window(cursor: Cursor, allowed: Allowed, found: Clauses) -> bool:
    span = cursor.span
    if allowed.no_window:
        # Those that events bound are not read here: they could nest as deep as the text is long.
        if cursor.at("since", "last") or cursor.at("until", "first") or take_window(cursor) is not None:
            raise cursor.fail("no window can stand here.", allowed.no_window, span=span)
        return False
    window = take_event_window(cursor)
    if window is None:
        return False
    if found.window is not None:
        raise cursor.fail("there are two windows.", "Join two conditions by and.", span=span)
    found.window = window
    return True


def _take_counted(cursor: Cursor, allowed: Allowed, found: Clauses) -> bool:
    if not allowed.count:
        return False
    span = cursor.span
    count = _take_count(cursor)
    if count is None:
        return False
    if found.count is not None:
        raise cursor.fail("there are two counts.", 'Write "between 2 and 4 times".', span=span)
    found.count = count
    return True


def _daypart(cursor: Cursor) -> Daypart:
    cursor.expect("sent")
    if cursor.skip("at", "night"):
        return Daypart.NIGHT
    if cursor.skip("by", "day"):
        return Daypart.DAY
    raise cursor.expected('"at night" or "by day"')


def _take_count(cursor: Cursor) -> Compared | None:
    between = take_between(cursor)
    if between is not None:
        return _times(cursor, (Compare.BETWEEN, between))
    relation = take_relation(cursor)
    if relation is not None:
        return _times(cursor, (relation, (cursor.operand("a number"),)))
    for words, compare in _COUNT_WORDS:
        if cursor.skip(*words):
            return _times(cursor, (compare, (cursor.operand("a number"),)))
    if isinstance(cursor.peek().value, int) or cursor.at("once") or cursor.at("twice"):
        raise cursor.expected("a count", 'Write "at least 2 times", or "exactly 2 times".')
    return None


def _times(cursor: Cursor, count: Compared) -> Compared:
    if not (cursor.skip("times") or cursor.skip("time")):
        raise cursor.expected('"times"', 'Counts read "at least 2 times"; windows read "in last 30 days".')
    return count
