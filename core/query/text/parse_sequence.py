"""Sequences: steps joined by `then` and `then not`."""

from __future__ import annotations

from core.query.ast import Sequence, Step
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_filters import take_event_filter
from core.query.text.parse_selections import Allowed, selection, take_clauses, take_event_names, take_event_window
from core.query.text.parse_windows import at_between_ago, take_duration
from core.query.text.words import RELATIONS

#: An attribute called "sequence" is meant if one of these follows.
_COMPARISONS = frozenset(("is", "contains", "does", "starts", "ends", "matches", "has", "changed", "not", "on", "at"))
_WINDOW_HINT = 'Steps take "within 1 day"; a window stands behind "sequence".'
_HINT = 'Write "sequence in last 30 days: a then b within 1 day". A name "sequence" stands in quotes.'


def at_sequence(cursor: Cursor) -> bool:
    """Whether a sequence begins here, and not a comparison of an attribute of that name."""
    after = cursor.peek(1)
    if not cursor.at("sequence") or after.text in RELATIONS or after.word in _COMPARISONS or after.text in (".", "("):
        return False
    if after.word == "between":
        return at_between_ago(cursor, 1)
    return after.word not in ("above", "below", "within") and not (after.word == "in" and cursor.is_word(2, "("))


def take_sequence(cursor: Cursor) -> Sequence:
    """`sequence in last 30 days with the same product_id: a as v then b (x = v.x) within 1 day then not c`."""
    span = cursor.expect("sequence").span
    window = take_event_window(cursor)
    same = None
    if cursor.skip("with", "the", "same"):
        same = cursor.dotted("the name of a parameter")
    cursor.expect(":", _HINT)
    steps = [_step(cursor, negative=False)]
    while cursor.skip("then"):
        steps.append(_step(cursor, negative=cursor.skip("not")))
    if len(steps) < 2:
        raise cursor.expected('"then"', "A sequence has two steps at least.")
    return Sequence(tuple(steps), window, same, span=span)


def _step(cursor: Cursor, *, negative: bool) -> Step:
    cursor.count_node()
    names = take_event_names(cursor)
    matching, products = take_event_filter(cursor)
    clauses = take_clauses(cursor, Allowed(no_window=_WINDOW_HINT))
    name: str | None = None
    within_us: int | None = None
    from_first = False
    while True:
        if cursor.at("as"):
            if negative:
                raise cursor.fail("what did not happen has no name.")
            if name is not None:
                raise cursor.fail("a step has one name.")
            cursor.take()
            name = cursor.name("the name of the step")
        elif cursor.at("within"):
            if within_us is not None:
                raise cursor.fail('"within" stands here twice.')
            cursor.take()
            within_us = take_duration(cursor)
            from_first = cursor.skip("of", "the", "first")
        else:
            break
    return Step(selection(names, matching, products, clauses), negative, name, within_us, from_first)
