"""Filters of a step, split into what its event alone decides and what earlier steps decide with it."""

from __future__ import annotations

from dataclasses import replace

from core.query.ast import Branch, FilterNode, FilterTree, Op, StepOperand
from core.query.walk import parts_of


def speaks_of_steps(tree: FilterTree) -> bool:
    """Whether some operand is a value of an earlier step."""
    return any(True for _ in parts_of(tree, StepOperand))


def split(tree: FilterTree) -> tuple[FilterTree, FilterTree]:
    """Two filters whose conjunction is `tree`: the first speaks of no other step, the second may be empty."""
    if not speaks_of_steps(tree):
        return tree, ()
    root = tree[-1]
    children = root.children if isinstance(root, Branch) and root.op is Op.AND else (len(tree) - 1,)
    parts = [subtree(tree, child) for child in children]
    alone = [part for part in parts if not speaks_of_steps(part)]
    crossing = [part for part in parts if speaks_of_steps(part)]
    return conjunction(alone), conjunction(crossing)


def subtree(tree: FilterTree, root: int) -> FilterTree:
    """The node `root` and everything below it as a tree of its own."""
    below = {root}
    for number in range(root, -1, -1):
        node = tree[number]
        if number in below and isinstance(node, Branch):
            below.update(node.children)
    place = {number: i for i, number in enumerate(sorted(below))}
    return tuple(_moved(tree[number], place) for number in sorted(below))


def conjunction(trees: list[FilterTree]) -> FilterTree:
    """All of `trees` (none of them empty) as one filter; the empty filter for none."""
    if len(trees) <= 1:
        return trees[0] if trees else ()
    nodes: list[FilterNode] = []
    roots: list[int] = []
    for tree in trees:
        place = {number: number + len(nodes) for number in range(len(tree))}
        nodes += [_moved(node, place) for node in tree]
        roots.append(len(nodes) - 1)
    return (*nodes, Branch(Op.AND, tuple(roots)))


def _moved(node: FilterNode, place: dict[int, int]) -> FilterNode:
    if not isinstance(node, Branch):
        return node
    return replace(node, children=tuple(place[child] for child in node.children))
