"""Conditions on the product of an event: its state at the event or now, and its price now against that of the event."""

from __future__ import annotations

from core.errors import CdpError
from core.query.ast import ProductCondition, Span, Stock
from core.query.text.parse_cursor import Cursor

_STATES = tuple((tuple(stock.value.split()), stock) for stock in Stock)
_STATE_HINT = "Write in stock, out of stock, low in stock, the last item or on promotion."
_HINT = 'Write "now in stock", "that was out of stock" or "whose price dropped by at least 10 %".'


def at_product(cursor: Cursor) -> bool:
    """Whether a condition on the product begins here: `product was ...`, and not a parameter of that name."""
    return cursor.at("product") and (
        cursor.is_word(1, "was")
        or cursor.is_word(1, "now")
        or cursor.is_word(1, "price")
        or cursor.is_word(1, "whose")
        or (cursor.is_word(1, "is") and cursor.is_word(2, "now"))
    )


def take_product(cursor: Cursor) -> ProductCondition:
    """`product was out of stock`, `product now on promotion`, `product price dropped by at least 10 %`."""
    span = cursor.expect("product").span
    return _condition(cursor, span)


def refuse_product(cursor: Cursor) -> None:
    """Raises RULE_SYNTAX if a condition on the product begins here, where none can stand."""
    if at_product(cursor):
        raise misplaced(cursor, cursor.span)


def misplaced(cursor: Cursor, span: Span) -> CdpError:
    """The error for a condition on the product in the wrong place."""
    return cursor.fail(
        "a condition on the product cannot stand here.",
        'It stands directly in the brackets of an event, joined by and, or after them: "on a product now in stock".',
        span=span,
    )


def at_on_product(cursor: Cursor) -> bool:
    """Whether `on a product` follows."""
    return cursor.at("on", "a", "product")


def take_on_product(cursor: Cursor) -> tuple[ProductCondition, ...]:
    """`on a product now in stock`, or `on a product (that was out of stock and now in stock)`."""
    cursor.skip("on", "a", "product")
    if not cursor.skip("("):
        return (_condition(cursor, cursor.span),)
    conditions = [_condition(cursor, cursor.span)]
    while cursor.skip("and"):
        conditions.append(_condition(cursor, cursor.span))
    cursor.expect(")", 'Conditions on one product are joined by "and".')
    return tuple(conditions)


def _condition(cursor: Cursor, span: Span) -> ProductCondition:
    if cursor.skip("whose", "price") or cursor.skip("price"):
        for word in ("dropped", "by", "at", "least"):
            cursor.expect(word, 'Write "price dropped by at least 10 %".')
        return ProductCondition(price_drop=cursor.percent(), span=span)
    cursor.skip("that")
    was = cursor.skip("was")
    if not was:
        cursor.skip("is")
        if not cursor.skip("now"):
            raise cursor.expected('"now", "was" or "price dropped"', _HINT)
    for words, stock in _STATES:
        if cursor.skip(*words):
            return ProductCondition(stock, was, span=span)
    raise cursor.expected("a state of the product", _STATE_HINT)
