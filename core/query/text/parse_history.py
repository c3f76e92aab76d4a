"""Lists, segments and scenarios now and before, and what attributes have been."""

from __future__ import annotations

from core.query.ast import (
    Changed,
    Compare,
    Comparison,
    Group,
    HasBeen,
    HasBeenIn,
    InList,
    Operand,
    Reachable,
    SegmentReference,
    Span,
    WasIn,
)
from core.query.limits import MAX_OPERANDS
from core.query.problems import PARAMETER, TOO_LARGE
from core.query.text.lexer import TokenKind
from core.query.text.parse_comparisons import LISTS, Compared, take_listed, take_value_compare
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_moments import take_moments
from core.query.text.parse_places import take_circle
from core.query.text.parse_population import take_names
from core.query.text.parse_selections import take_event_window
from core.query.text.parse_windows import take_duration

_GROUPS = {group.value: group for group in Group}
_HAD = (
    (("has", "contained"), Compare.CONTAINS),
    (("has", "not", "contained"), Compare.NOT_CONTAINS),
    (("has", "started", "with"), Compare.STARTS),
    (("has", "ended", "with"), Compare.ENDS),
    (("has", "matched"), Compare.MATCHES),
)
#: What may stand behind a whole condition.
_AFTER_CONDITION = ("and", "or", "exclude", "limit")


def take_membership(cursor: Cursor) -> InList | SegmentReference | HasBeenIn:
    """`in list "x"`, `in segment "x" with a = 1`; either, and `in scenario "x"`, `for at least 3 days`."""
    span = cursor.expect("in").span
    group, name = _group(cursor)
    if cursor.at("for"):
        return HasBeenIn(group, name, _for_at_least(cursor), span=span)
    if group is Group.LIST:
        return InList(name, span=span)
    if group is Group.SCENARIO:
        raise cursor.expected('"for at least"', 'Write in scenario "x" for at least 1 day, or was in scenario "x".')
    return SegmentReference(name, _arguments(cursor), span=span)


def _group(cursor: Cursor) -> tuple[Group, str]:
    group = _GROUPS.get(cursor.peek().word)
    if group is None:
        raise cursor.expected('"list" or "segment"', 'Write in segment "VIP".')
    cursor.take()
    return group, cursor.name(f"the name of a {group.value}")


def _arguments(cursor: Cursor) -> tuple[tuple[str, Operand], ...]:
    if not cursor.skip("with"):
        return ()
    arguments: dict[str, Operand] = {}
    many = cursor.skip("(")
    while True:
        here = cursor.span
        parameter = cursor.name("the name of a parameter")
        cursor.expect("=")
        if parameter in arguments:
            raise cursor.fail(f'"{parameter}" has two values.', reason=PARAMETER, span=here)
        arguments[parameter] = cursor.operand()
        if len(arguments) > MAX_OPERANDS:
            raise cursor.fail(f"a reference has more than {MAX_OPERANDS} arguments.", reason=TOO_LARGE)
        if not many or not cursor.skip(","):
            break
    if many:
        cursor.expect(")", 'Arguments are separated by ",".')
    return tuple(sorted(arguments.items()))


def at_was_in(cursor: Cursor) -> bool:
    """Whether `was in segment` or `was never in segment` follows, and not an attribute called "was"."""
    if cursor.at("was") and cursor.peek(1).word in _GROUPS:
        return True
    return cursor.at("was", "never", "in") or (cursor.at("was", "in") and not cursor.is_word(2, "("))


def take_was_in(cursor: Cursor) -> tuple[WasIn, int]:
    """`was in segment "x" at any time in last 90 days`; -1 if it is `was never in`, which holds a "not"."""
    span = cursor.expect("was").span
    nots = -1 if cursor.skip("never") else 0
    cursor.expect("in", 'Write was in segment "VIP".')
    group, name = _group(cursor)
    cursor.skip("at", "any", "time")
    return WasIn(group, name, take_event_window(cursor), span=span), nots


def take_has_been_in(cursor: Cursor) -> HasBeenIn:
    """`has been in segment "x" for at least 30 days`."""
    span = cursor.span
    cursor.skip("has", "been", "in")
    group, name = _group(cursor)
    return HasBeenIn(group, name, _for_at_least(cursor), span=span)


def at_has_been(cursor: Cursor) -> bool:
    """Whether, behind the name of an attribute, `has been` follows, or another phrase of what has held."""
    return cursor.at("has", "been") or cursor.at("has", "had") or any(cursor.at(*words) for words, _ in _HAD)


def take_has_been(cursor: Cursor, name: str, span: Span) -> HasBeen:
    """`has been "waiting" for at least 3 days`, any comparison; `has had any (...)`, `has contained "x"`."""
    test = _held(cursor, name, span)
    return HasBeen(test, _for_at_least(cursor), span=span)


def take_length_has_been(cursor: Cursor, test: Comparison) -> HasBeen:
    """What follows `length of x has been >= 2`."""
    return HasBeen(test, _for_at_least(cursor), span=test.span)


def _held(cursor: Cursor, name: str, span: Span) -> Comparison:
    compared = _had(cursor)
    if compared is None:
        cursor.skip("has", "been")
        circle = take_circle(cursor)
        if circle is not None:
            return Comparison(name, Compare.DISTANCE, circle=circle, span=span)
        moments = take_moments(cursor)
        if moments is not None:
            return Comparison(name, Compare.AT, moments=moments, span=span)
        compared = _been(cursor)
    return Comparison(name, *compared, ignoring_case=cursor.skip("ignoring", "case"), span=span)


def _had(cursor: Cursor) -> Compared | None:
    if cursor.skip("has", "had"):
        return take_listed(cursor)
    for words, compare in _HAD:
        if cursor.skip(*words):
            return compare, (cursor.operand("a text"),)
    return None


def _been(cursor: Cursor) -> Compared:
    if cursor.skip("missing"):
        return Compare.MISSING, ()
    if cursor.skip("present"):
        return Compare.PRESENT, ()
    compared = take_value_compare(cursor)
    if compared is None and cursor.at("in"):
        raise cursor.expected("a value", 'A window moves with time; "has been" asks for what stays, as in ("a", "b").')
    if compared is None and cursor.peek().word in LISTS:
        raise cursor.expected("a value", 'Write "has had any (...)".')
    return compared or (Compare.EQ, (cursor.operand(),))


def _for_at_least(cursor: Cursor) -> int:
    hint = 'Write "for at least 3 days".'
    cursor.expect("for", hint)
    if not (cursor.skip("at", "least") or cursor.skip(">=")):
        raise cursor.expected('"at least"', hint)
    return take_duration(cursor)


def at_changed(cursor: Cursor) -> bool:
    """Whether, behind the name of an attribute, `changed` follows."""
    return cursor.at("changed") or cursor.at("has", "changed")


def take_changed(cursor: Cursor, name: str, span: Span) -> Changed:
    """`changed from "a" to any of ("b", "c")` in a window, before which `at any time` may stand."""
    cursor.skip("has")
    cursor.expect("changed")
    before = _values(cursor) if not _at_window_from(cursor) and cursor.skip("from") else None
    after = _values(cursor) if cursor.skip("to") else None
    cursor.skip("at", "any", "time")
    return Changed(name, before, after, take_event_window(cursor), span=span)


def _at_window_from(cursor: Cursor) -> bool:
    """Whether `from a until b` follows: without `until` or `through`, `from` names the value before the change."""
    after = 3 if cursor.is_word(1, ":") else 2
    return cursor.at("from") and cursor.peek(after).word in ("until", "through")


def _values(cursor: Cursor) -> tuple[Operand, ...] | None:
    if cursor.skip("anything"):
        return None
    if cursor.skip("missing"):
        return ()
    if cursor.skip("any", "of") or cursor.at("("):
        return cursor.bracketed(cursor.operand)
    return (cursor.operand('a value, "missing" or "anything"'),)


def at_reachable(cursor: Cursor) -> bool:
    """Whether `reachable` stands here as a condition, and not as the name of an attribute."""
    after = cursor.peek(1)
    return cursor.at("reachable") and (
        after.kind is TokenKind.END or after.text in (")", ",") or after.word in (*_AFTER_CONDITION, "by")
    )


def take_reachable(cursor: Cursor) -> Reachable:
    """`reachable`, `reachable by email`, `reachable by (email, sms)`."""
    span = cursor.expect("reachable").span
    return Reachable(take_names(cursor, "the name of a channel") if cursor.skip("by") else (), span=span)
