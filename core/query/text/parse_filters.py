"""Element matches, and the filters made of them and of comparisons."""

from __future__ import annotations

from collections.abc import Sequence

from core.query.ast import Branch, Comparison, ElementMatch, FilterNode, FilterTree, Op, ProductCondition, Span
from core.query.text.parse_comparisons import take_comparison
from core.query.text.parse_cursor import Cursor
from core.query.text.parse_products import at_product, misplaced, refuse_product, take_product
from core.query.text.parse_tree import TreeReader
from core.query.text.words import ELEMENT_WORDS

_QUANTIFIERS = ("any", "every", "all")
_Leaf = Comparison | ElementMatch | ProductCondition


def take_filter(cursor: Cursor) -> FilterTree:
    """`(conditions)`; the empty tuple if no bracket opens here."""
    if not cursor.at("("):
        return ()
    return _bracketed(cursor, elements_allowed=True)


def take_event_filter(cursor: Cursor) -> tuple[FilterTree, tuple[ProductCondition, ...]]:
    """`(conditions)` on an event, and those of its product, which stand among them at the top; both empty if no
    bracket opens here."""

    def read_leaf(inner: Cursor, _negated: bool) -> tuple[_Leaf, int]:
        if at_product(inner):
            return take_product(inner), 0
        return (take_element(inner) if at_element(inner) else take_comparison(inner)), 0

    if not cursor.at("("):
        return (), ()
    _open(cursor)
    nodes = TreeReader[_Leaf](cursor, read_leaf, _span_of, closed_by='")"').read()
    cursor.expect(")")
    return _parted(cursor, nodes)


def at_element(cursor: Cursor) -> bool:
    """Whether `any child (`, `every item (`, `any element of` or the like begins here."""
    if cursor.at("any"):
        return True
    return cursor.peek().word in _QUANTIFIERS and (
        cursor.peek(1).word in ELEMENT_WORDS
        or cursor.peek(1).word in ELEMENT_WORDS.values()
        or (cursor.peek(1).word in ("element", "elements") and cursor.is_word(2, "of"))
        or (cursor.at_name(1) and cursor.is_word(2, "("))
    )


def take_element(cursor: Cursor) -> ElementMatch:
    """`any child (...)`, `every item (...)`, `any element of name (...)`."""
    span = cursor.span
    every = cursor.take().word != "any"
    word = cursor.peek().word
    if word in ("element", "elements") and cursor.is_word(1, "of"):
        cursor.take()
        cursor.take()
        name = cursor.dotted("the name of a list")
    elif word in ELEMENT_WORDS:
        cursor.take()
        name = ELEMENT_WORDS[word]
    elif every and word in ELEMENT_WORDS.values():
        name = cursor.take().word
    elif word == "of":
        raise cursor.fail('"any of" names events.', 'Write "did any of (a, b)", or "at least 1 of (...)".')
    else:
        raise cursor.expected('"child", "item" or "element of"', 'For another list write "any element of name (...)".')
    if not cursor.at("("):
        raise cursor.expected('"("', "The conditions on the element stand in brackets.")
    return ElementMatch(name, _bracketed(cursor, elements_allowed=False), every, span=span)


def _bracketed(cursor: Cursor, *, elements_allowed: bool) -> FilterTree:
    def read_leaf(inner: Cursor, _negated: bool) -> tuple[Comparison | ElementMatch, int]:
        refuse_product(inner)
        if not at_element(inner):
            return take_comparison(inner), 0
        if not elements_allowed:
            raise inner.fail(
                "the fields of an element are single values.", f'"{inner.peek().word}" cannot stand inside another one.'
            )
        return take_element(inner), 0

    _open(cursor)
    tree = TreeReader[Comparison | ElementMatch](cursor, read_leaf, _span_of, closed_by='")"').read()
    cursor.expect(")")
    return tree


def _open(cursor: Cursor) -> None:
    cursor.expect("(")
    if cursor.at(")"):
        raise cursor.fail("the brackets are empty.", "Write a condition in them, or leave them out.")


def _parted(cursor: Cursor, nodes: Sequence[Branch | _Leaf]) -> tuple[FilterTree, tuple[ProductCondition, ...]]:
    """A filter without its conditions on the product, and these."""
    products = tuple(node for node in nodes if isinstance(node, ProductCondition))
    if not products:
        return tuple(node for node in nodes if not isinstance(node, ProductCondition)), ()
    root = nodes[-1]
    top: tuple[int, ...] = (len(nodes) - 1,)
    if isinstance(root, Branch) and root.op is Op.AND:
        top = root.children
    for index, node in enumerate(nodes):
        if isinstance(node, ProductCondition) and index not in top:
            raise misplaced(cursor, node.span)
    kept: list[FilterNode] = []
    number: dict[int, int] = {}
    for index, node in enumerate(nodes):
        if isinstance(node, ProductCondition):
            continue
        number[index] = len(kept)
        if not isinstance(node, Branch):
            kept.append(node)
            continue
        children = tuple(number[child] for child in node.children if child in number)
        if node is root and len(children) < 2:
            break  # what is left of the and is one condition, or nothing
        kept.append(Branch(node.op, children, node.k, node.span))
    return tuple(kept), products


def _span_of(leaf: _Leaf) -> Span:
    return leaf.span
