"""Conditions on messages: `opened message (filter) sent at night at least 2 times in last 30 days`."""

from __future__ import annotations

from core.query.ast import MessageCount, MessageVerb
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_filters import take_filter
from core.query.text.parse_selections import NEVER, ONCE, Allowed, take_clauses
from core.query.text.words import VERB_PREPOSITIONS, VERBS


def at_verb(cursor: Cursor) -> MessageVerb | None:
    """The verb of `opened message` and the like, if it stands here; `never` and `was` may stand before it."""
    ahead = 1 if cursor.at("never") else 0
    ahead += 1 if cursor.is_word(ahead, "was") else 0
    verb = VERBS.get(cursor.peek(ahead).word)
    if verb is None:
        return None
    ahead += 2 if cursor.peek(ahead + 1).word == VERB_PREPOSITIONS.get(verb) else 1
    return verb if cursor.peek(ahead).word in ("message", "messages") else None


def take_message(cursor: Cursor, verb: MessageVerb, negated: bool) -> tuple[MessageCount, int]:
    """The condition. Without a count of its own it takes a "not" before it in (1): it then counts no message."""
    span = cursor.span
    never = cursor.skip("never")
    while not cursor.take().word.startswith("message"):
        pass
    matching = take_filter(cursor)
    clauses = take_clauses(cursor, Allowed(count=True, of_messages=True))
    if never and clauses.count is not None:
        raise cursor.fail('"never" and a count cannot stand together.', 'Write "not ... at least 2 times".', span=span)
    silent = never or (negated and clauses.count is None)
    compare, counts = clauses.count or (NEVER if silent else ONCE)
    condition = MessageCount(
        verb, matching, clauses.window, compare, counts, clauses.sent, clauses.with_machines, span=span
    )
    return condition, int(silent and not never)
