"""Comparisons of a named value, element matches, and the filters made of them."""

from __future__ import annotations

from core.errors import CdpError
from core.query.ast import (
    Compare,
    Comparison,
    ElementMatch,
    FilterTree,
    Operand,
    Span,
)
from core.query.parse_cursor import Cursor
from core.query.parse_tree import TreeReader
from core.query.parse_unsupported import refuse_comparison, refuse_product
from core.query.parse_windows import at_between_ago, take_window
from core.query.words import ELEMENT_WORDS, RELATIONS

_LISTS = {"any": Compare.HAS_ANY, "all": Compare.HAS_ALL, "none": Compare.HAS_NONE}
_TEXT_PHRASES = (
    (("contains",), Compare.CONTAINS),
    (("does", "not", "contain"), Compare.NOT_CONTAINS),
    (("starts", "with"), Compare.STARTS),
    (("ends", "with"), Compare.ENDS),
    (("matches",), Compare.MATCHES),
)


def take_filter(cursor: Cursor) -> FilterTree:
    """`(conditions)` on an event or a message; the empty tuple if no bracket opens here."""
    if not cursor.at("("):
        return ()
    return _bracketed(cursor, elements_allowed=True)


def at_element(cursor: Cursor) -> bool:
    """Whether `any child (`, `any item (` or `any element of` begins here."""
    return cursor.at("any")


def take_element(cursor: Cursor) -> ElementMatch:
    """`any child (...)`, `any item (...)`, `any element of name (...)`."""
    span = cursor.expect("any").span
    word = cursor.peek().word
    if word == "element" and cursor.is_word(1, "of"):
        cursor.skip("element", "of")
        name = cursor.dotted("the name of a list")
    elif word in ELEMENT_WORDS:
        cursor.take()
        name = ELEMENT_WORDS[word]
    elif word == "of":
        raise cursor.fail('"any of" names events.', 'Write "did any of (a, b)", or "at least 1 of (...)".')
    else:
        raise cursor.expected('"child", "item" or "element of"', 'For another list write "any element of name (...)".')
    if not cursor.at("("):
        raise cursor.expected('"("', "The conditions on the element stand in brackets.")
    return ElementMatch(name, _bracketed(cursor, elements_allowed=False), span=span)


def take_comparison(cursor: Cursor) -> Comparison:
    """`name = value` and every other comparison of one named value."""
    span = cursor.span
    if cursor.at("length", "of"):
        cursor.skip("length", "of")
        name = cursor.dotted("the name of a list")
        relation = take_relation(cursor)
        if relation is None:
            raise cursor.expected('"=", "!=", "<", "<=", ">" or ">="')
        return Comparison(name, Compare.LENGTH, (cursor.operand("a number"),), relation=relation, span=span)
    name = cursor.dotted("a condition")
    refuse_comparison(cursor)
    compare, operands = _compare(cursor)
    if compare is None:
        window = take_window(cursor)
        if window is None:
            raise _no_comparison(cursor, name)
        return Comparison(name, Compare.WITHIN, window=window, span=span)
    return Comparison(name, compare, operands, ignoring_case=cursor.skip("ignoring", "case"), span=span)


def take_relation(cursor: Cursor) -> Compare | None:
    """`=`, `!=`, `<`, `<=`, `>` or `>=`, if one follows."""
    relation = RELATIONS.get(cursor.peek().text)
    if relation is not None:
        cursor.take()
    return relation


def take_plain_compare(cursor: Cursor) -> tuple[Compare, tuple[Operand, ...]] | None:
    """A comparison that values of every kind have, if one follows: a relation, between, is missing, is present."""
    relation = take_relation(cursor)
    if relation is not None:
        return relation, (cursor.operand(),)
    between = take_between(cursor)
    if between is not None:
        return Compare.BETWEEN, between
    if cursor.skip("is", "missing"):
        return Compare.MISSING, ()
    if cursor.skip("is", "present"):
        return Compare.PRESENT, ()
    return None


def take_between(cursor: Cursor) -> tuple[Operand, ...] | None:
    """`between a and b` of values, if it follows (and not `between 30 and 90 days ago`)."""
    if not cursor.at("between") or at_between_ago(cursor):
        return None
    cursor.take()
    low = cursor.operand()
    cursor.expect("and", 'Write "between 18 and 30".')
    return (low, cursor.operand())


def _compare(cursor: Cursor) -> tuple[Compare | None, tuple[Operand, ...]]:
    plain = take_plain_compare(cursor)
    if plain is not None:
        return plain
    if cursor.at("in", "("):
        cursor.take()
        return Compare.IN, cursor.bracketed(cursor.operand)
    if cursor.skip("not", "in"):
        return Compare.NOT_IN, cursor.bracketed(cursor.operand)
    for words, compare in _TEXT_PHRASES:
        if cursor.skip(*words):
            return compare, (cursor.operand("a text"),)
    if cursor.skip("has"):
        listed = _LISTS.get(cursor.peek().word)
        if listed is None:
            raise cursor.expected('"any", "all" or "none"', 'Write "has any (...)".')
        cursor.take()
        return listed, cursor.bracketed(cursor.operand)
    return None, ()


def _no_comparison(cursor: Cursor, name: str) -> CdpError:
    expected = f'a comparison after "{name}"'
    if cursor.at("is"):
        return cursor.expected(expected, 'Write "is missing", "is present", or "=" and a value.')
    if cursor.at("does", "not"):
        return cursor.expected(expected, f'Write "does not contain", or put not first: "not {name} ...".')
    if cursor.at("not"):
        return cursor.expected(expected, f'Put not first: "not {name} ...".')
    if cursor.at("less", "than") or cursor.at("fewer", "than"):
        return cursor.expected(expected, 'Write "<" and a number, or "in last 30 days".')
    if cursor.at("more", "than"):
        return cursor.expected(expected, 'Write ">" and a number, or "more than 30 days ago".')
    if cursor.at("("):
        return cursor.expected(expected, 'If it is an event, write "did" before it.')
    return cursor.expected(expected, 'For example: = "text", > 5, in ("a", "b"), is missing, in last 30 days.')


def _bracketed(cursor: Cursor, *, elements_allowed: bool) -> FilterTree:
    def read_leaf(inner: Cursor, _negated: bool) -> tuple[Comparison | ElementMatch, bool]:
        refuse_product(inner)
        if not at_element(inner):
            return take_comparison(inner), False
        if not elements_allowed:
            raise inner.fail("the fields of an element are single values.", '"any" cannot stand inside another one.')
        return take_element(inner), False

    cursor.expect("(")
    if cursor.at(")"):
        raise cursor.fail("the brackets are empty.", "Write a condition in them, or leave them out.")
    tree = TreeReader[Comparison | ElementMatch](cursor, read_leaf, _span_of, closed_by='")"').read()
    cursor.expect(")")
    return tree


def _span_of(leaf: Comparison | ElementMatch) -> Span:
    return leaf.span
