"""The leaves of a rule: attributes, lists, segments, events, messages and aggregates."""

from __future__ import annotations

from core.query.ast import (
    AttributeCondition,
    Compare,
    Condition,
    EventAggregate,
    EventCount,
    EventSelection,
    Everyone,
    FilterTree,
    InList,
    Literal,
    MessageCount,
    MessageVerb,
    Operand,
    SegmentReference,
    Span,
    Window,
)
from core.query.limits import MAX_OPERANDS
from core.query.parse_cursor import Cursor
from core.query.parse_filters import (
    at_element,
    take_between,
    take_comparison,
    take_element,
    take_filter,
    take_plain_compare,
    take_relation,
)
from core.query.parse_unsupported import refuse_comparison, refuse_condition, refuse_event_phrase
from core.query.parse_windows import take_window
from core.query.problems import PARAMETER, TOO_LARGE, UNSUPPORTED
from core.query.words import FUNCTIONS, VERB_PREPOSITIONS, VERBS

_Count = tuple[Compare, tuple[Operand, ...]]
_ONCE: _Count = (Compare.GE, (Literal(1),))
_NEVER: _Count = (Compare.EQ, (Literal(0),))
_COUNT_WORDS = (
    (("at", "least"), Compare.GE),
    (("at", "most"), Compare.LE),
    (("exactly",), Compare.EQ),
    (("more", "than"), Compare.GT),
    (("fewer", "than"), Compare.LT),
    (("less", "than"), Compare.LT),
)


def take_condition(cursor: Cursor, negated: bool) -> tuple[Condition, bool]:
    """One leaf. A message condition without a count takes a "not" before it in: it then counts no message."""
    span = cursor.span
    refuse_condition(cursor)
    if cursor.skip("everyone"):
        return Everyone(span=span), False
    if cursor.at("did") or cursor.at("never", "did"):
        return _event(cursor), False
    verb = _at_verb(cursor)
    if verb is not None:
        return _message(cursor, verb, negated)
    if cursor.skip("never"):
        raise cursor.expected('"did" or a message verb', 'Write "never did order_completed".')
    if cursor.at("in"):
        return _membership(cursor), False
    if cursor.peek().word in FUNCTIONS and cursor.is_word(1, "("):
        return _aggregate(cursor), False
    if at_element(cursor):
        return AttributeCondition(take_element(cursor), span=span), False
    return AttributeCondition(take_comparison(cursor), span=span), False


def _membership(cursor: Cursor) -> InList | SegmentReference:
    span = cursor.expect("in").span
    if cursor.skip("list"):
        return InList(cursor.name("the name of a list"), span=span)
    if not cursor.skip("segment"):
        raise cursor.expected('"list" or "segment"', 'Write in segment "VIP".')
    name = cursor.name("the name of a segment")
    if cursor.at("for", "at", "least"):
        raise cursor.fail("the history of a segment is not supported yet.", reason=UNSUPPORTED)
    if not cursor.skip("with"):
        return SegmentReference(name, span=span)
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
    return SegmentReference(name, tuple(sorted(arguments.items())), span=span)


def _event(cursor: Cursor) -> EventCount:
    span = cursor.span
    denied = cursor.skip("never", "did") or cursor.skip("did", "not")
    if not denied:
        cursor.expect("did")
    names = _event_names(cursor)
    matching = take_filter(cursor)
    count, window, same = _clauses(cursor, same_allowed=True)
    if denied and count is not None:
        raise cursor.fail(
            '"did not" and a count cannot stand together.', 'Write "not did ... at least 2 times".', span=span
        )
    compare, counts = count or (_NEVER if denied else _ONCE)
    return EventCount(EventSelection(names, matching, window), compare, counts, same, span=span)


def _event_names(cursor: Cursor) -> tuple[str, ...]:
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


def _clauses(cursor: Cursor, *, same_allowed: bool) -> tuple[_Count | None, Window | None, str | None]:
    """Count, window and `for the same p`, each at most once, in any order."""
    count: _Count | None = None
    window: Window | None = None
    same: str | None = None
    while True:
        refuse_event_phrase(cursor)
        span = cursor.span
        if cursor.at("for", "the", "same"):
            if not same_allowed or same is not None:
                raise cursor.fail('"for the same" cannot stand here.')
            cursor.skip("for", "the", "same")
            same = cursor.dotted("the name of a parameter")
            continue
        next_window = take_window(cursor)
        if next_window is not None:
            if window is not None:
                raise cursor.fail("there are two windows.", "Join two conditions by and.", span=span)
            window = next_window
            continue
        next_count = _take_count(cursor)
        if next_count is None:
            return count, window, same
        if count is not None:
            raise cursor.fail("there are two counts.", 'Write "between 2 and 4 times".', span=span)
        count = next_count


def _take_count(cursor: Cursor) -> _Count | None:
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


def _times(cursor: Cursor, count: _Count) -> _Count:
    if not (cursor.skip("times") or cursor.skip("time")):
        raise cursor.expected('"times"', 'Counts read "at least 2 times"; windows read "in last 30 days".')
    return count


def _at_verb(cursor: Cursor) -> MessageVerb | None:
    """The verb of `opened message` and the like, if it stands here; `never` and `was` may stand before it."""
    ahead = 1 if cursor.at("never") else 0
    ahead += 1 if cursor.is_word(ahead, "was") else 0
    verb = VERBS.get(cursor.peek(ahead).word)
    if verb is None:
        return None
    ahead += 2 if cursor.peek(ahead + 1).word == VERB_PREPOSITIONS.get(verb) else 1
    return verb if cursor.peek(ahead).word in ("message", "messages") else None


def _message(cursor: Cursor, verb: MessageVerb, negated: bool) -> tuple[MessageCount, bool]:
    span = cursor.span
    never = cursor.skip("never")
    while not cursor.take().word.startswith("message"):
        pass
    matching = take_filter(cursor)
    count, window, _ = _clauses(cursor, same_allowed=False)
    if never and count is not None:
        raise cursor.fail('"never" and a count cannot stand together.', 'Write "not ... at least 2 times".', span=span)
    silent = never or (negated and count is None)
    compare, counts = count or (_NEVER if silent else _ONCE)
    return MessageCount(verb, matching, window, compare, counts, span=span), silent and not never


def _aggregate(cursor: Cursor) -> EventAggregate:
    span = cursor.span
    function = FUNCTIONS[cursor.take().word]
    cursor.expect("(")
    names = _event_names(cursor)
    cursor.expect(".", f'Write "{function.value}(order_completed.total)".')
    path = cursor.dotted("the name of a parameter")
    cursor.expect(")", f'The filter stands behind: "{function.value}(...) where (...)".')
    matching: FilterTree = ()
    if cursor.skip("where"):
        if not cursor.at("("):
            raise cursor.expected('"("', "The conditions after where stand in brackets.")
        matching = take_filter(cursor)
    window = take_window(cursor)
    compare, operands = _aggregate_compare(cursor)
    span_after = cursor.span
    later = take_window(cursor)
    if later is not None and window is not None:
        raise cursor.fail("there are two windows.", "Join two conditions by and.", span=span_after)
    return EventAggregate(
        function, path, EventSelection(names, matching, window or later), compare, operands, span=span
    )


def _aggregate_compare(cursor: Cursor) -> tuple[Compare, tuple[Operand, ...]]:
    refuse_comparison(cursor)
    refuse_event_phrase(cursor)
    plain = take_plain_compare(cursor)
    if plain is not None:
        return plain
    if cursor.at("more", "than") or cursor.at("at"):
        raise cursor.expected("a comparison", 'Write ">" or ">=" and a number.')
    raise cursor.expected("a comparison", "For example: > 250, between 10 and 20, is missing.")


def span_of(condition: Condition) -> Span:
    """Where a condition stands."""
    return condition.span
