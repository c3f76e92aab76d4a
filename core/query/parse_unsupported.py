"""Phrases of the language that this version reads but does not evaluate: refused by name, not as a mistyped word."""

from __future__ import annotations

from core.errors import CdpError
from core.query.parse_cursor import Cursor
from core.query.problems import UNSUPPORTED

_CONDITIONS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("sequence", "in"), "a sequence"),
    (("sequence", ":"), "a sequence"),
    (("rfm",), "an RFM cell"),
    (("cohort", "of"), "a cohort"),
    (("random", "bucket"), "a random bucket"),
    (("was", "in"), "the history of a segment"),
    (("most", "frequent"), '"most frequent"'),
    (("median", "("), '"median"'),
    (("percentile",), '"percentile"'),
    (("first", "time"), '"first time did"'),
    (("first", "("), '"first(...)"'),
    (("last", "("), '"last(...)"'),
    (("every",), '"every"'),
    (("all",), '"all"'),
    (("limit",), '"limit"'),
)
#: The same after the name of an event or of an attribute.
_BEFORE_NAME: tuple[tuple[str, str], ...] = (
    ("stopped", '"stopped"'),
    ("restarted", '"restarted"'),
    ("last", '"last ... had"'),
)
_AFTER_NAME: tuple[tuple[tuple[str, ...], str], ...] = (
    (("has", "been"), '"has been"'),
    (("has", "anniversary"), "an anniversary"),
    (("has", "changed"), '"has changed"'),
    (("changed",), '"changed"'),
    (("within",), "a distance"),
    (("rising",), '"rising by"'),
    (("falling",), '"falling by"'),
    (("above", "average"), "a comparison with the average"),
    (("below", "average"), "a comparison with the average"),
    (("in", "top"), "a share of the best"),
    (("in", "bottom"), "a share of the best"),
    (("in", "cell"), "an RFM cell"),
)
_AFTER_EVENT: tuple[tuple[tuple[str, ...], str], ...] = (
    (("regularly",), '"regularly"'),
    (("on", "a", "product"), "a condition on the catalogue"),
    (("on",), "a condition on the day"),
    (("since", "last"), '"since last"'),
    (("until", "first"), '"until first"'),
    (("within",), '"within"'),
    (("after",), "a sequence"),
    (("then",), "a sequence"),
    (("limit",), '"limit"'),
)
_RELATIONS = ("=", "!=", "<", "<=", ">", ">=")


def refuse_condition(cursor: Cursor) -> None:
    """Raises RULE_UNSUPPORTED if a condition that is not supported begins here."""
    if any(cursor.is_word(1, relation) for relation in _RELATIONS):
        return
    for words, what in _CONDITIONS:
        if cursor.at(*words):
            raise _unsupported(cursor, what)
    for word, what in _BEFORE_NAME:
        if cursor.at(word) and cursor.peek(1).word not in ("", "is", "in", "between", "has", "contains", "does"):
            raise _unsupported(cursor, what)


def refuse_comparison(cursor: Cursor) -> None:
    """Raises RULE_UNSUPPORTED if, after a name or an aggregate, an unsupported phrase follows."""
    _refuse(cursor, _AFTER_NAME)


def refuse_event_phrase(cursor: Cursor) -> None:
    """Raises RULE_UNSUPPORTED if, after an event and its filter, an unsupported phrase follows."""
    _refuse(cursor, _AFTER_EVENT)


def refuse_product(cursor: Cursor) -> None:
    """Raises RULE_UNSUPPORTED if a condition on the state of a product begins here."""
    if cursor.at("product") and any(cursor.is_word(1, word) for word in ("was", "now", "is", "whose")):
        raise _unsupported(cursor, "a condition on the catalogue")


def _refuse(cursor: Cursor, phrases: tuple[tuple[tuple[str, ...], str], ...]) -> None:
    for words, what in phrases:
        if cursor.at(*words):
            raise _unsupported(cursor, what)


def _unsupported(cursor: Cursor, what: str) -> CdpError:
    return cursor.fail(f"{what} is not supported yet.", reason=UNSUPPORTED)
