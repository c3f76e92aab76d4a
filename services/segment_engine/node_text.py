"""The text of every node of a rule, for counts and plans."""

from __future__ import annotations

from core.query.ast import Branch, Node, Rule
from core.query.text.format import format_rule


def node_texts(rule: Rule) -> list[str]:
    """The canonical text of the subtree under each node, in the order of the nodes. Among whom it is asked
    stands before each; the limit of the rule stands behind none."""
    return [format_rule(Rule(_subtree(rule.nodes, number), rule.scope, rule.base)) for number in range(len(rule.nodes))]


def _subtree(nodes: tuple[Node, ...], root: int) -> tuple[Node, ...]:
    """The nodes under `root` with their numbers made to fit; post-order is kept."""
    wanted: list[int] = []
    stack = [root]
    while stack:
        number = stack.pop()
        wanted.append(number)
        node = nodes[number]
        if isinstance(node, Branch):
            stack.extend(node.children)
    wanted.sort()
    place = {number: index for index, number in enumerate(wanted)}
    subtree: list[Node] = []
    for number in wanted:
        node = nodes[number]
        if isinstance(node, Branch):
            node = Branch(node.op, tuple(place[child] for child in node.children), node.k, node.span)
        subtree.append(node)
    return tuple(subtree)
