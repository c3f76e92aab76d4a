"""Whether a rule is a tree that a text could say: arities, limits and ranges, before any name is looked up."""

from __future__ import annotations

from core.query.ast import Branch, Node, Rule
from core.query.binding.shape_conditions import check_condition, check_measure
from core.query.binding.shape_tree import check_tree
from core.query.binding.shape_values import check_name
from core.query.limits import MAX_NODES
from core.query.problems import SHAPE, TOO_LARGE, place, problem

#: No base has more contacts.
_MOST_MEMBERS = 2**32 - 1


def check_shape(rule: Rule) -> None:
    """Raises INVALID (RULE_SHAPE, RULE_TOO_DEEP, RULE_TOO_LARGE, RULE_VALUE) unless `rule` is well-formed.

    Well-formed: exact post-order (every subtree is contiguous, children in order, each node used once), `and` and
    `or` of two or more, operands as the operator needs, values within their ranges.
    """
    check_tree(rule.nodes, "nodes")
    left = MAX_NODES - len(rule.nodes)
    for index, node in enumerate(rule.nodes):
        if not isinstance(node, Branch):
            left -= check_condition(node, where_of(node, f"nodes[{index}]"))
            if left < 0:
                raise problem(TOO_LARGE, "", f"the rule has more than {MAX_NODES} conditions and branches.")
    if rule.base is not None:
        check_name(rule.base, "base")
    if rule.limit is not None:
        if not 1 <= rule.limit.count <= _MOST_MEMBERS:
            raise problem(SHAPE, "limit", f"a limit lies from 1 to {_MOST_MEMBERS}.")
        if rule.limit.by is None and rule.limit.smallest:
            raise problem(SHAPE, "limit", "the smallest need something that they are the smallest by.")
        if rule.limit.by is not None:
            check_measure(rule.limit.by, "limit")


def where_of(node: Node, otherwise: str) -> str:
    """The place of a node for an error: its line and column, or `otherwise`."""
    return place(node.span, otherwise)
