"""Comparisons, element matches and filters as canonical text."""

from __future__ import annotations

from core.query.ast import Branch, Compare, Comparison, ElementMatch, FilterTree, Operand
from core.query.text.format_tree import tree_text
from core.query.text.format_values import dotted_text, operand_text, operands_text
from core.query.text.format_windows import attribute_window_text, circle_text, moments_text, zone_text
from core.query.text.words import ELEMENT_WORDS

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
    """`any child (...)`, `every item (...)`, `any element of name (...)`."""
    singular = _SINGULAR.get(element.name)
    what = singular if singular is not None else f"element of {dotted_text(element.name)}"
    return f"{'every' if element.every else 'any'} {what} ({filter_text(element.filter)})"


def comparison_text(test: Comparison) -> str:
    """A comparison of one named value."""
    name = dotted_text(test.name)
    if test.compare in (Compare.LENGTH, Compare.AGE):
        return f"{test.compare.value} of {name} {related_text(test)}{zone_text(test.zone)}"
    return f"{name} {compared_tail(test)}"


def compared_tail(test: Comparison) -> str:
    """What stands behind the name, where the name comes first."""
    if test.compare is Compare.ANNIVERSARY and test.window is not None:
        return f"has anniversary {attribute_window_text(test.window, test.zone)}"
    if test.compare is Compare.WITHIN and test.window is not None:
        return attribute_window_text(test.window, test.zone)
    return compared_text(test)


def related_text(test: Comparison) -> str:
    """What stands behind `length of x` and `age of x`."""
    relation = "" if test.relation is None else test.relation.value
    return f"{relation} {_joined(test.operands)}"


def compared_text(test: Comparison) -> str:
    """What stands behind the name in every other comparison."""
    if test.moments is not None:
        return moments_text(test.moments)
    if test.circle is not None:
        return circle_text(test.circle)
    folding = " ignoring case" if test.ignoring_case else ""
    return f"{operator_text(test.compare, test.operands)}{folding}"


def operator_text(compare: Compare, operands: tuple[Operand, ...]) -> str:
    """An operator of plain values with its operands."""
    if compare in _LISTED:
        return f"{compare.value} {operands_text(operands)}"
    return f"{compare.value} {_joined(operands)}" if operands else compare.value


def _joined(operands: tuple[Operand, ...]) -> str:
    return " and ".join(operand_text(operand) for operand in operands)


def _leaf_text(leaf: Comparison | ElementMatch) -> str:
    return element_text(leaf) if isinstance(leaf, ElementMatch) else comparison_text(leaf)
