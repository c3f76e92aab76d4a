"""Comparisons, element matches and filters as canonical text."""

from __future__ import annotations

from core.query.ast import Branch, Compare, Comparison, ElementMatch, FilterTree
from core.query.format_tree import tree_text
from core.query.format_values import dotted_text, operand_text, operands_text
from core.query.format_windows import attribute_window_text
from core.query.words import ELEMENT_WORDS

_SINGULAR = {plural: singular for singular, plural in ELEMENT_WORDS.items()}
_LISTED = frozenset((Compare.IN, Compare.NOT_IN, Compare.HAS_ANY, Compare.HAS_ALL, Compare.HAS_NONE))


def filter_text(matching: FilterTree) -> str:
    """The filter without its brackets; not for the empty one."""
    texts = [node if isinstance(node, Branch) else _leaf_text(node) for node in matching]
    return tree_text(texts, len(texts) - 1)


def bracketed_text(matching: FilterTree) -> str:
    """` (filter)`, or nothing for the empty one."""
    return f" ({filter_text(matching)})" if matching else ""


def element_text(element: ElementMatch) -> str:
    """`any child (...)`, or `any element of name (...)`."""
    singular = _SINGULAR.get(element.name)
    what = singular if singular is not None else f"element of {dotted_text(element.name)}"
    return f"any {what} ({filter_text(element.filter)})"


def comparison_text(test: Comparison) -> str:
    """A comparison of one named value."""
    name = dotted_text(test.name)
    folding = " ignoring case" if test.ignoring_case else ""
    if test.compare is Compare.LENGTH and test.relation is not None:
        return f"length of {name} {test.relation.value} {operand_text(test.operands[0])}"
    if test.compare is Compare.WITHIN and test.window is not None:
        return f"{name} {attribute_window_text(test.window)}"
    if test.compare in _LISTED:
        return f"{name} {test.compare.value} {operands_text(test.operands)}{folding}"
    operands = " and ".join(operand_text(operand) for operand in test.operands)
    return f"{name} {test.compare.value}{' ' if operands else ''}{operands}{folding}"


def _leaf_text(leaf: Comparison | ElementMatch) -> str:
    return element_text(leaf) if isinstance(leaf, ElementMatch) else comparison_text(leaf)
